"""The kinds of input, one file each; `ALL` in `fuzz.kinds.all_kinds`."""

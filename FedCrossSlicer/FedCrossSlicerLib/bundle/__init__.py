"""What the panel reads of bundles and result folders."""

from fedcross.train.data.sources.pairs import name_from_pattern


def test_the_text_that_wildcards_match_is_the_cases_name() -> None:
    assert name_from_pattern("Case*_segmentation.mhd", "Case07_segmentation.mhd") == "07"
    assert name_from_pattern("Case[0-9][0-9].mhd", "Case07.mhd") == "07"
    assert name_from_pattern("*/ses-*/x.nii", "anna/ses-2/x.nii") == "anna-2"
    assert name_from_pattern("sub-*/sub-*_T2w.nii", "sub-01/sub-01_T2w.nii") == "01"

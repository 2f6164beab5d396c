"""The program of the process that decodes compressed DICOM files, see `gdcm.py`.

It reads a number k per line from stdin, decodes ``k.dcm`` in the working folder, writes the voxels to
``k.npy`` and answers with one line. It imports nothing of this package.
"""

import sys

import numpy as np
import SimpleITK as sitk


def main() -> None:
    """Answer until stdin is closed: ``ok``, or ``damaged``."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for line in sys.stdin:
        number = int(line)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(f"{number}.dcm")
        try:
            array = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError:
            print("damaged", flush=True)
            continue
        np.save(f"{number}.npy", array, allow_pickle=False)
        print("ok", flush=True)


if __name__ == "__main__":
    main()

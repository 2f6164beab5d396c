"""The library of the Slicer module. The package `fedcross` can be imported once this is imported."""

from FedCrossSlicerLib.package import addPackageToPath

addPackageToPath()

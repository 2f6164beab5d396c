"""The library of the module FedCrossSlicer. Its import makes `fedcross` importable."""

from FedCrossSlicerLib.package import addPackageFolder

addPackageFolder()

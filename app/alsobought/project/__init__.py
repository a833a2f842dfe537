"""A shop's project: started from the files of the package, and upgraded when the package has newer ones."""

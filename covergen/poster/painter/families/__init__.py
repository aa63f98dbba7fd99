"""The kinds of picture, one file each: `compose` lays inks on a sheet as directed."""

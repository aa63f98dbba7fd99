"""The families of pictures, one module each; `compose` draws on a sheet as directed."""

"""Write covers into music files safely. The only package that opens a music file for writing."""

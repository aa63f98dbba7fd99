"""Music file to embedding: the only room that imports PyAV, torchaudio and CLAP."""

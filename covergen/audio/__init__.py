"""Music files to embeddings. The only room that imports PyAV, torchaudio and CLAP."""

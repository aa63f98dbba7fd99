"""The log-mel settings of the starter's audio encoder."""

from covergen.audio.mel import MelSettings

MEL = MelSettings(
    sampling_rate=48_000,
    feature_size=64,
    fft_window_size=1024,
    hop_length=480,
    frequency_min=50.0,
    frequency_max=14_000.0,
)

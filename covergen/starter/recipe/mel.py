"""The log-mel settings of the starter's audio encoder.

Major and minor differ by semitones, so the bands are narrow: below 1 kHz they are 23 Hz apart, a
semitone at 390 Hz.
"""

from covergen.audio.mel import MelSettings

MEL = MelSettings(
    sampling_rate=48_000,
    feature_size=128,
    fft_window_size=4096,
    hop_length=960,
    frequency_min=40.0,
    frequency_max=8_000.0,
)

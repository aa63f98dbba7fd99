"""Make pairs from Jamendo, a catalogue of music under Creative Commons licences."""

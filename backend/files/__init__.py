"""Files on the disk, read and written so that neither what lies there nor a crash can do harm."""

"""The PNG Info tab: what a picture's file says of how it was made."""

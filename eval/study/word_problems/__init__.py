"""What the study of a real model is made of: problems split, and a vocabulary cut."""

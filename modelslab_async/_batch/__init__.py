"""What a batch is made of: the shifts of its runs. They send nothing themselves."""

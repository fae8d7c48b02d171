"""Fresh labels: which pairs to label, by whom, and what the labels say of sources and labellers."""

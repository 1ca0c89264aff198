"""The label tab: runs, frames and labels, what people say of them, and learning from that."""

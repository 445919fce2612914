"""Tell real photographs from AI-generated images: a menu over shared modules."""

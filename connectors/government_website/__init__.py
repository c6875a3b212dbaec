"""政务网站: what is public as static pages and an Atom feed."""

"""信用中国（甘肃）: 双公示 template files, and the receipt files that come back."""

package both // want package:"purposes are declared in example.com/shop/legal/us, example.com/shop/purposes"

// The file says that both have lists.
import (
	_ "example.com/shop/legal/us"
	_ "example.com/shop/purposes"
)

package further // want package:"example.com/shop/ads is for advertising only"

import _ "example.com/shop/wiring"

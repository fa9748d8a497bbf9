# key-rotation

path "team/transit/decrypt/onlyfor-advertising" {
  capabilities = ["update"]
}

path "team/transit/encrypt/onlyfor-advertising" {
  capabilities = ["update"]
}

path "team/transit/decrypt/onlyfor-billing" {
  capabilities = ["update"]
}

path "team/transit/encrypt/onlyfor-billing" {
  capabilities = ["update"]
}

path "team/transit/decrypt/onlyfor-security" {
  capabilities = ["update"]
}

path "team/transit/encrypt/onlyfor-security" {
  capabilities = ["update"]
}

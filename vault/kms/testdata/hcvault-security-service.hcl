# security-service

path "team/transit/decrypt/onlyfor-billing" {
  capabilities = ["update"]
}

path "team/transit/decrypt/onlyfor-security" {
  capabilities = ["update"]
}

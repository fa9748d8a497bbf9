# ad-service

path "team/transit/decrypt/onlyfor-advertising" {
  capabilities = ["update"]
}

// Package hcvault wraps the keys of a vault with keys in the transit engine of
// HashiCorp Vault or OpenBao, through Tink's client.
//
//	keys := kms.Template("hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}")
//	kek, err := hcvault.New(ctx, keys, nil) // VAULT_ADDR, VAULT_TOKEN and the rest
//	v, err := vault.Open(ctx, store, kek, nil)
//	security, err := v.Scope(ctx, purposes.Security) // one request
//
// The README says how to make the keys; [kms.HCVaultPolicy] writes the policies
// that let a token use exactly its purposes.
//
// # What is sent
//
// transit/decrypt when the keys of a purpose are opened, transit/encrypt and
// transit/decrypt when they are made or changed, each with the purpose as
// associated_data. What is wrapped is a data key of 32 bytes. No request is made
// for a value. Each is made once, for the client's own retries would outlast a
// context, and redirects are not followed, for they would take token and key to
// a host that the URI does not name.
//
// Tink's older NewClient sends associated data as "context", which the server
// ignores unless a key is derived. A vault refuses a KEK made from that with
// [vault.ErrNoKeys], and likewise this one with a server that does not know
// associated_data yet.
//
// # Errors
//
// [vault.ErrNoKeys] is what the server refuses: a token without the right or
// past its end, a key that is missing, deleted, of a kind that binds no associated data, or not
// the one that was wrapped with. Everything else is [vault.ErrUnavailable]: no answer, a
// server that is sealed, throttled or in trouble, and what a proxy says in its
// place, whatever its status. Errors name the purpose, the URI and the HTTP
// status, and nothing that anybody wrote.
//
// A token that is refused is asked for once more, by auth/token/lookup-self, so
// that [vault.Vault.MustNotOpen] can tell one without the right from one that has
// expired and will have a successor.
package hcvault

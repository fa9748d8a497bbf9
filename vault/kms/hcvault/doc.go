// Package hcvault wraps the keys of a vault with keys in the transit engine of
// HashiCorp Vault or OpenBao, through Tink's client.
//
//	keys := kms.Template("hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}")
//	kek, err := hcvault.New(ctx, keys, nil) // VAULT_ADDR, VAULT_TOKEN and the rest
//	v, err := vault.Open(ctx, store, kek, nil)
//	security, err := v.Scope(ctx, purposes.Security) // one request
//
// The README shows how to make the keys; [kms.HCVaultPolicy] writes policies that let
// a token use exactly its purposes.
//
// # Requests
//
// A vault requests transit/decrypt when it opens the keys of a purpose, and
// transit/encrypt and transit/decrypt when it makes or changes them. Each request has
// the purpose as associated_data. The requests wrap and unwrap a data key of 32
// bytes. Sealing and revealing a value makes no request. A request is made once,
// because the client's own retries do not end with a context. Redirects are not
// followed, because they would take token and key to a host that the URI does not
// name.
//
// Tink's older NewClient sends associated data as "context", which the server ignores
// unless a key is derived. A vault refuses a KEK made with it, with
// [vault.ErrNoKeys]. It also refuses this KEK with a server that does not know
// associated_data yet.
//
// # Errors
//
// A refusal by the server is [vault.ErrNoKeys]: the token has no right or has expired,
// or the key is missing, deleted, of a kind that binds no associated data, or another
// one. Any other failure is [vault.ErrUnavailable]: no answer, a server that is
// sealed, throttled or has an internal error, and a proxy's answer of any status.
// Errors have the purpose, the URI and the HTTP status, and no text of the server or
// a proxy.
//
// After status 403, auth/token/lookup-self tells a known token from an expired one,
// which may have a successor. The refusal of a known token is also
// [vault.ErrAccessDenied].
package hcvault

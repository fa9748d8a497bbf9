// Package hash hashes revealed values with and without a key.
package hash

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"hash/maphash"
	"io"
	"log"
	"strings"

	"example.com/purposes"
	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/vault"
)

func hashed(ctx context.Context, v *vault.Vault, e pii.Email, key []byte) {
	s, _ := v.Scope(ctx, purposes.Security)
	address, _ := e.Reveal(ctx, s)

	_ = sha256.Sum256([]byte(address))                                     // want `^revealed for security, hashed by sha256.Sum256 without a key: whoever has a list of addresses can do the same, so use an Index$`
	_ = sha512.Sum384([]byte(strings.ToLower(strings.TrimSpace(address)))) // want `sha512.Sum384`
	_ = md5.Sum([]byte("salt" + address))                                  // want `md5.Sum`
	_ = sha1.Sum(append([]byte("salt"), address...))                       // want `sha1.Sum`
	_ = crc32.ChecksumIEEE([]byte(address))                                // want `crc32.ChecksumIEEE`

	h := sha256.New()
	h.Write([]byte(address))               // want `sha256.New`
	io.WriteString(h, address)             // want `sha256.New`
	fmt.Fprintf(h, "%s", address)          // want `sha256.New`
	io.Copy(h, strings.NewReader(address)) // want `sha256.New`
	f := fnv.New64a()
	f.Write([]byte(address)) // want `fnv.New64a`
	g := crypto.SHA256.New()
	g.Write([]byte(address)) // want `crypto.New`
	var either hash.Hash = md5.New()
	if len(key) == 0 {
		either = hmac.New(sha256.New, key)
	}
	either.Write([]byte(address)) // want `md5.New`
	digest(address)
	allowed(address)

	m := hmac.New(sha256.New, key)
	m.Write([]byte(address))
	_ = maphash.String(maphash.MakeSeed(), address)
	_ = sha256.Sum256([]byte("something else"))
	unknown(nil, address)
	index, _ := e.Index(ctx, s)
	_ = index
	// The digest is not reported a second time.
	sum := sha256.Sum256([]byte(address)) // want `sha256.Sum256`
	log.Print(hex.EncodeToString(sum[:]))
}

func digest(what string) string {
	sum := sha256.Sum256([]byte(what)) // want `sha256.Sum256`
	return hex.EncodeToString(sum[:])
}

func allowed(what string) {
	_ = sha256.Sum256([]byte(what)) //piivet:allow hash the partner's list is hashed so, and the person agreed
}

// What h is can't be told.
func unknown(h hash.Hash, what string) {
	if h != nil {
		h.Write([]byte(what))
	}
}

package reference

import (
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
)

// X-Wing, draft-connolly-cfrg-xwing-kem-10: ML-KEM-768 (FIPS 203) and X25519 (RFC 7748)
// in one KEM.

// The sizes of an X-Wing public key and of an encapsulated key, in bytes.
const (
	xwingPublicSize = mlkem.EncapsulationKeySize768 + 32
	xwingEncSize    = mlkem.CiphertextSize768 + 32
)

// xwingExpand returns the two private keys of a seed.
func xwingExpand(seed []byte) (*mlkem.DecapsulationKey768, []byte) {
	expanded := sha3.SumSHAKE256(seed, 96)
	dk, err := mlkem.NewDecapsulationKey768(expanded[:64])
	if err != nil || len(seed) != 32 {
		panic("not a seed")
	}
	return dk, expanded[64:]
}

// XWingPublic returns the public key of a seed.
func XWingPublic(seed []byte) []byte {
	dk, x := xwingExpand(seed)
	return append(dk.EncapsulationKey().Bytes(), Public(x)...)
}

// XWingEncapsulate encapsulates with the given randomness: 32 bytes for ML-KEM and an
// X25519 private key. It returns false for a public key of which one half is none.
func XWingEncapsulate(random, public []byte) (shared, enc []byte, ok bool) {
	if len(public) != xwingPublicSize || len(random) != 64 {
		return nil, nil, false
	}
	m, x := public[:xwingPublicSize-32], public[xwingPublicSize-32:]
	ek, err := mlkem.NewEncapsulationKey768(m)
	if err != nil {
		return nil, nil, false
	}
	ssM, ctM, err := mlkemtest.Encapsulate768(ek, random[:32])
	if err != nil {
		return nil, nil, false
	}
	ssX, ok := Exchange(random[32:], x)
	ctX := Public(random[32:])
	return XWingCombine(ssM, ssX, ctX, x), append(ctM, ctX...), ok
}

// XWingDecapsulate returns the shared secret of an encapsulated key. It returns false
// if the X25519 exchange gives zeros.
func XWingDecapsulate(seed, enc []byte) (shared []byte, ok bool) {
	dk, x := xwingExpand(seed)
	if len(enc) != xwingEncSize {
		return nil, false
	}
	ctM, ctX := enc[:xwingEncSize-32], enc[xwingEncSize-32:]
	ssM, err := dk.Decapsulate(ctM)
	if err != nil {
		return nil, false
	}
	ssX, ok := Exchange(x, ctX)
	return XWingCombine(ssM, ssX, ctX, Public(x)), ok
}

// XWingCombine returns the shared secret of the two parts.
func XWingCombine(ssM, ssX, ctX, pkX []byte) []byte {
	h := sha3.New256()
	for _, part := range [][]byte{ssM, ssX, ctX, pkX, []byte(`\.//^\`)} {
		h.Write(part)
	}
	return h.Sum(nil)
}

// An XWingAnswer is a known answer of X-Wing. Not all of them have the randomness of the
// encapsulation.
type XWingAnswer struct{ Seed, Public, Random, Encapsulated, Shared []byte }

//go:embed testdata/xwing.txt
var xwingAnswers string

// XWingAnswers returns the known answers of testdata/xwing.txt.
func XWingAnswers() (all []XWingAnswer, err error) {
	for _, block := range strings.Split(xwingAnswers, "\n\n")[1:] {
		var a XWingAnswer
		fields := map[string]*[]byte{"seed": &a.Seed, "public": &a.Public, "random": &a.Random, "encapsulated": &a.Encapsulated, "shared": &a.Shared}
		for line := range strings.Lines(block) {
			name, digits, _ := strings.Cut(strings.TrimSpace(line), ": ")
			to := fields[name]
			if to == nil {
				return nil, fmt.Errorf("no field %q", name)
			}
			if *to, err = hex.DecodeString(digits); err != nil {
				return nil, err
			}
		}
		all = append(all, a)
	}
	return all, nil
}

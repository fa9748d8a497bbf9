package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// This file is the same in oldtink and newtink, except for the import paths.

// A folder has the keysets and ciphertexts that one Tink writes for the other to open.
type folder string

// A value is one line of a .values.json file.
type value struct {
	Plaintext      string `json:"plaintext"`
	AssociatedData []byte `json:"associated_data"`
	Ciphertext     []byte `json:"ciphertext"`
	// Disabled reports whether the key of the ciphertext is disabled.
	Disabled bool `json:"disabled,omitempty"`
}

// An output is an output of a pseudorandom function.
type output struct {
	Input  []byte `json:"input"`
	Output []byte `json:"output"`
}

// keysetData is the associated data of encrypted keysets that have any.
var keysetData = []byte("onlyfor/testdata")

// must returns v, or ends the program.
func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func (f folder) save(name string, data []byte) {
	check(os.WriteFile(filepath.Join(string(f), name), data, 0o644))
}

func (f folder) load(name string) []byte {
	return must(os.ReadFile(filepath.Join(string(f), name)))
}

func (f folder) saveJSON(name string, v any) {
	f.save(name, append(must(json.MarshalIndent(v, "", "  ")), '\n'))
}

// saveKeyset writes a keyset in clear, as JSON and as protocol buffer.
func (f folder) saveKeyset(name string, h *keyset.Handle) {
	var asJSON, asBinary bytes.Buffer
	check(insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&asJSON)))
	check(insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&asBinary)))
	f.save(name+".json", asJSON.Bytes())
	f.save(name+".bin", asBinary.Bytes())
}

// loadKeyset reads both forms.
func (f folder) loadKeyset(name string) []*keyset.Handle {
	return []*keyset.Handle{
		must(insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(f.load(name + ".json"))))),
		must(insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(f.load(name + ".bin"))))),
	}
}

// saveEncrypted writes a keyset encrypted under kek, once with associated data and once
// without.
func (f folder) saveEncrypted(name string, h *keyset.Handle, kek tink.AEAD) {
	var asJSON, asBinary bytes.Buffer
	check(h.Write(keyset.NewJSONWriter(&asJSON), kek))
	check(h.WriteWithAssociatedData(keyset.NewBinaryWriter(&asBinary), kek, keysetData))
	f.save(name+".encrypted.json", asJSON.Bytes())
	f.save(name+".encrypted.bin", asBinary.Bytes())
}

func (f folder) loadEncrypted(name string, kek tink.AEAD) []*keyset.Handle {
	wrong := keyset.NewBinaryReader(bytes.NewReader(f.load(name + ".encrypted.bin")))
	if _, err := keyset.ReadWithAssociatedData(wrong, kek, []byte("other")); err == nil {
		check(errors.New("encrypted keyset opens with other associated data"))
	}
	return []*keyset.Handle{
		must(keyset.Read(keyset.NewJSONReader(bytes.NewReader(f.load(name+".encrypted.json"))), kek)),
		must(keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(f.load(name+".encrypted.bin"))), kek, keysetData)),
	}
}

// write writes a folder with fresh keys.
func (f folder) write() {
	kek := must(keyset.NewHandle(aead.AES256GCMKeyTemplate()))
	f.saveKeyset("kek", kek)
	wrap := must(aead.New(kek))

	f.writeAEAD(wrap)
	f.writePRF()
	f.writeHybrid()
}

// writeAEAD writes a keyset with a history: the primary key is neither the first nor
// the last, and one key is disabled.
func (f folder) writeAEAD(kek tink.AEAD) {
	m := keyset.NewManager()
	var values []value
	encrypt := func(plaintext string, associatedData []byte, disabled bool) {
		a := must(aead.New(must(m.Handle())))
		values = append(values, value{plaintext, associatedData, must(a.Encrypt([]byte(plaintext), associatedData)), disabled})
	}
	first := must(m.Add(aead.AES256GCMKeyTemplate()))
	check(m.SetPrimary(first))
	encrypt("ada@example.com", []byte("users.email/1"), false)
	encrypt("grace@example.com", nil, false)

	disabled := must(m.Add(aead.AES256GCMKeyTemplate()))
	check(m.SetPrimary(disabled))
	encrypt("lost@example.com", []byte("users.email/2"), true)

	primary := must(m.Add(aead.AES256GCMKeyTemplate()))
	check(m.SetPrimary(primary))
	encrypt("Katherine.Johnson@example.com", []byte("users.email/3"), false)
	encrypt("post@xn--bcher-kva.example", []byte("users.email/4"), false)

	chacha := must(m.Add(aead.ChaCha20Poly1305KeyTemplate()))
	check(m.SetPrimary(chacha))
	encrypt("dorothy@example.com", []byte("users.email/5"), false)

	raw := must(m.Add(aead.AES256GCMNoPrefixKeyTemplate()))
	check(m.SetPrimary(raw))
	encrypt("mary@example.com", []byte("users.email/6"), false)

	check(m.SetPrimary(primary))
	check(m.Disable(disabled))
	h := must(m.Handle())
	f.saveKeyset("aead", h)
	f.saveEncrypted("aead", h, kek)
	f.saveJSON("aead.values.json", values)
}

func (f folder) writePRF() {
	h := must(keyset.NewHandle(prf.AESCMACPRFKeyTemplate()))
	f.saveKeyset("prf", h)
	set := must(prf.NewPRFSet(h))
	var outputs []output
	for _, input := range []string{"", "ada@example.com", "idx1\x05email\x08securityada@example.com"} {
		outputs = append(outputs, output{[]byte(input), must(set.ComputePrimaryPRF([]byte(input), 16))})
	}
	f.saveJSON("prf.outputs.json", outputs)
}

// writeHybrid writes an HPKE keyset of the kind that collectors have.
func (f folder) writeHybrid() {
	private := must(keyset.NewHandle(hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()))
	f.saveKeyset("hpke", private)
	var public bytes.Buffer
	check(must(private.Public()).WriteWithNoSecrets(keyset.NewJSONWriter(&public)))
	f.save("hpke.public.json", public.Bytes())
	f.saveJSON("hpke.values.json", f.collect("ada@example.com", "grace@example.com"))
}

// collect encrypts with the public key of the folder.
func (f folder) collect(plaintexts ...string) []value {
	public := must(keyset.ReadWithNoSecrets(keyset.NewJSONReader(bytes.NewReader(f.load("hpke.public.json")))))
	enc := must(hybrid.NewHybridEncrypt(public))
	var values []value
	for i, plaintext := range plaintexts {
		info := [][]byte{nil, []byte("col1\x08security")}[i%2]
		values = append(values, value{plaintext, info, must(enc.Encrypt([]byte(plaintext), info)), false})
	}
	return values
}

// open opens all of a folder.
func (f folder) open() {
	for _, kek := range f.loadKeyset("kek") {
		wrap := must(aead.New(kek))
		for _, h := range append(f.loadKeyset("aead"), f.loadEncrypted("aead", wrap)...) {
			a := must(aead.New(h))
			f.openValues("aead.values.json", a.Decrypt)
		}
	}
	for _, h := range f.loadKeyset("prf") {
		set := must(prf.NewPRFSet(h))
		var outputs []output
		check(json.Unmarshal(f.load("prf.outputs.json"), &outputs))
		if len(outputs) == 0 {
			check(errors.New("no outputs"))
		}
		for _, o := range outputs {
			if !bytes.Equal(o.Output, must(set.ComputePrimaryPRF(o.Input, 16))) {
				check(errors.New("another output"))
			}
		}
	}
	for _, h := range f.loadKeyset("hpke") {
		dec := must(hybrid.NewHybridDecrypt(h))
		f.openValues("hpke.values.json", dec.Decrypt)
		for _, v := range f.collect("ada@example.com", "grace@example.com") {
			if plaintext := must(dec.Decrypt(v.Ciphertext, v.AssociatedData)); string(plaintext) != v.Plaintext {
				check(errors.New("public key is not that of the private key"))
			}
		}
	}
}

func (f folder) openValues(name string, decrypt func(ciphertext, associatedData []byte) ([]byte, error)) {
	var values []value
	check(json.Unmarshal(f.load(name), &values))
	if len(values) == 0 {
		check(errors.New("no values"))
	}
	for _, v := range values {
		plaintext, err := decrypt(v.Ciphertext, v.AssociatedData)
		if v.Disabled {
			if err == nil {
				check(errors.New("a disabled key opens"))
			}
			continue
		}
		check(err)
		if string(plaintext) != v.Plaintext {
			check(errors.New("another plaintext"))
		}
		if _, err := decrypt(v.Ciphertext, append(v.AssociatedData, 'x')); err == nil {
			check(errors.New("opens with other associated data"))
		}
	}
}

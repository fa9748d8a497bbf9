// Oldtink writes and opens folders with github.com/google/tink/go v1.7.0, as newtink
// does with its successor. It also lends newtink an AEAD.
//
//	oldtink write FOLDER
//	oldtink open FOLDER
//	oldtink serve FOLDER
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/google/tink/go/aead"

	"github.com/onlyfor/onlyfor/vault/internal/tinkv1/pipe"
)

func main() {
	log.SetFlags(log.Lshortfile)
	if len(os.Args) != 3 {
		log.Fatal("usage: oldtink write|open|serve FOLDER")
	}
	f := folder(os.Args[2])
	switch os.Args[1] {
	case "write":
		f.write()
	case "open":
		f.open()
	case "serve":
		f.serve(os.Stdin, os.Stdout)
	default:
		log.Fatal("unknown command")
	}
}

// serve encrypts and decrypts with the key-encryption key of the folder, until the
// input ends.
func (f folder) serve(in io.Reader, out io.Writer) {
	kek := must(aead.New(f.loadKeyset("kek")[0]))
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q pipe.Question
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return
		} else {
			check(err)
		}
		do := kek.Encrypt
		if q.Decrypt {
			do = kek.Decrypt
		}
		data, err := do(q.Data, q.AssociatedData)
		check(enc.Encode(pipe.Answer{Data: data, Refused: err != nil}))
	}
}

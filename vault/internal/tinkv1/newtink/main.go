// Newtink writes and opens folders with github.com/tink-crypto/tink-go/v2, as oldtink
// does with its predecessor.
//
//	newtink write FOLDER
//	newtink open FOLDER
//	newtink kek FOLDER OLDTINK
package main

import (
	"log"
	"os"
	"os/exec"

	"github.com/onlyfor/onlyfor/vault/internal/tinkv1/pipe"
	"github.com/onlyfor/onlyfor/vault/internal/tinkv1/roundtrip"
)

func main() {
	log.SetFlags(log.Lshortfile)
	if len(os.Args) < 3 {
		log.Fatal("usage: newtink write|open|kek FOLDER")
	}
	f := folder(os.Args[2])
	switch os.Args[1] {
	case "write":
		f.write()
	case "open":
		f.open()
	case "kek":
		f.kek(os.Args[3])
	default:
		log.Fatal("unknown command")
	}
}

// kek runs a vault under the AEAD of another process, and keeps the wrapped keys and the
// sealed value in the folder.
func (f folder) kek(oldtink string) {
	cmd := exec.Command(oldtink, "serve", string(f))
	cmd.Stderr = os.Stderr
	in := must(cmd.StdinPipe())
	out := must(cmd.StdoutPipe())
	check(cmd.Start())
	record, sealed := roundtrip.Run(pipe.New(out, in))
	check(in.Close())
	check(cmd.Wait())
	f.save("record.bin", record)
	f.save("sealed.txt", append(sealed, '\n'))
}

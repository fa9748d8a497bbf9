// Command assessor plays a year of a company in a minute. An employee launders addresses,
// an administrator edits the audit log, and a backup of the key store is put back. Then an
// assessor comes, who has no keys: copies of the logs, the public keys of the logs, and the
// heads that the logs have sent meanwhile.
//
//	go -C examples run ./assessor
//
// It keeps its files in a temporary directory and needs no server.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// The purposes of this company.
var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
)

func main() {
	dir, err := os.MkdirTemp("", "onlyfor-assessor-")
	if err == nil {
		err = run(context.Background(), os.Stdout, dir)
		os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "assessor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dir string) error {
	c, err := newCompany(filepath.Join(dir, "company"))
	if err != nil {
		return err
	}
	if err := c.year(ctx, w); err != nil {
		return err
	}
	return c.handOver(ctx, w, filepath.Join(dir, "assessor"))
}

// handOver gives the assessor copies of the logs, six times: as they are, and as an
// administrator could have changed them.
func (c *company) handOver(ctx context.Context, w io.Writer, dir string) error {
	for n, h := range []struct {
		title  string
		tamper func(support string) error
		kept   bool
	}{
		{"the logs as they are", nil, true},
		{"an entry of the support desk is rewritten", rewriteEntry, true},
		{"an entry of the support desk is dropped", dropEntry, true},
		{"the end of the support desk's log is cut off", cutEnd, true},
		{"the same, and the assessor has kept no head", cutEnd, false},
		{"the support desk's log is written anew, with its key", c.writeAnew(ctx), true},
	} {
		copied := filepath.Join(dir, fmt.Sprint(n))
		if err := copyDir(copied, c.logs); err != nil {
			return err
		}
		if h.tamper != nil {
			if err := h.tamper(filepath.Join(copied, "support")); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "\n== Handed over: %s\n", h.title)
		processes := c.processes()
		if h.tamper != nil {
			processes = []*process{c.support} // the other logs are the same
		}
		for _, p := range processes {
			var kept []auditlog.Head
			if h.kept {
				kept = p.kept
			}
			if err := assess(ctx, w, p.name, os.DirFS(filepath.Join(copied, p.name)), p.verifier, kept, h.tamper == nil); err != nil {
				return err
			}
		}
	}
	fmt.Fprint(w, notInALog)
	return nil
}

const notInALog = `
== What no log of this company can show
a program that keeps no log: onlyfor audit reconcile compares with the log of the key service
an address that leaves a program after it was revealed there
who eve is: the program states its callers
erasures that a backup brings back, where no key has changed since
`

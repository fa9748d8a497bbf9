package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/auditlog/witness"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// auditWitnessCmd runs a witness of audit logs, without a configuration.
type auditWitnessCmd struct {
	Key    witnessKeyCmd    `cmd:"" help:"Make the key of a witness, and print its public half."`
	Serve  witnessServeCmd  `cmd:"" help:"Cosign heads of audit logs over HTTP, until the command is interrupted."`
	Cosign witnessCosignCmd `cmd:"" help:"Cosign the newest head of each audit log in a directory, once."`
}

// witnessKeyCmd makes the key of a witness.
type witnessKeyCmd struct {
	Name string `arg:"" help:"The name of the witness, which no other witness and no log may have, such as witness.example."`
	File string `arg:"" help:"The file for the signing key, which must not exist. The public half is beside it, in FILE.pub."`
}

func (c *witnessKeyCmd) Run(_ context.Context, s *session) error {
	private, public, err := witness.GenerateKey(c.Name)
	if err != nil {
		return misuse("the name of a witness has no blanks and no +")
	}
	if err := writeKey(c.File, private, public); err != nil {
		return err
	}
	return s.print(map[string]string{"verifier": public}, func(w io.Writer, _ int) { fmt.Fprintln(w, public) })
}

// witnessState names the state of a witness, its key and its logs.
type witnessState struct {
	State string `arg:"" help:"The directory of its state. It is made if it is missing, and never put back from a backup."`
	Key   string `required:"" placeholder:"FILE" help:"The file with the signing key, which onlyfor audit witness key makes."`
	Logs  string `required:"" placeholder:"FILE" help:"A file with the public keys of the logs, one a line."`
}

// open opens the witness, and returns the public keys of its logs.
func (c *witnessState) open(opts *witness.ServerOptions) (*witness.Server, []note.Verifier, error) {
	signer, verifier, err := c.key()
	if err != nil {
		return nil, nil, err
	}
	logs, err := readLogs(c.Logs)
	if err != nil {
		return nil, nil, err
	}
	server, err := witness.Open(c.State, signer, verifier, logs, opts)
	switch {
	case errors.Is(err, witness.ErrInUse):
		return nil, nil, misuse("another process has the state in %s", c.State).hinting("One witness runs at a time.")
	case errors.Is(err, witness.ErrAltered):
		return nil, nil, refuse("the state in %s is not as this witness left it", c.State).
			hinting("Nothing is cosigned. A witness whose state was lost or put back stops for ever: begin a new one, with a new key.")
	case errors.Is(err, witness.ErrArgument):
		return nil, nil, misuse("%s has the witness's own name as the name of a log", c.Logs)
	case err != nil:
		return nil, nil, misuse("the state in %s can't be read or made", c.State)
	}
	return server, logs, nil
}

// key reads the key of the witness.
func (c *witnessState) key() (note.Signer, note.Verifier, error) {
	info, err := os.Stat(c.Key)
	if err != nil {
		return nil, nil, misuse("the key of the witness, %s, can't be read", c.Key).hinting("onlyfor audit witness key makes it.")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, nil, misuse("%s is open to others, and it is a secret", c.Key)
	}
	private, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, nil, misuse("the key of the witness, %s, can't be read", c.Key)
	}
	signer, err := witness.NewSigner(strings.TrimSpace(string(private)))
	if err != nil {
		return nil, nil, misuse("%s has no key of a witness", c.Key).hinting("onlyfor audit witness key makes one.")
	}
	public, err := os.ReadFile(publicFile(c.Key))
	if err != nil {
		return nil, nil, misuse("the public half of the key, %s, can't be read", publicFile(c.Key))
	}
	verifier, err := witness.NewVerifier(strings.TrimSpace(string(public)))
	if err != nil || verifier.Name() != signer.Name() || verifier.KeyHash() != signer.KeyHash() {
		return nil, nil, misuse("%s is not the public half of the key", publicFile(c.Key))
	}
	return signer, verifier, nil
}

// maxLogs is the size of the largest file with public keys of logs.
const maxLogs = 4 << 20

// readLogs reads public keys of logs. Empty lines and lines with # are passed over.
func readLogs(file string) (logs []note.Verifier, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, misuse("%s can't be read", file)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxLogs))
	number := 1
	for ; lines.Scan(); number++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if strings.HasPrefix(text, "PRIVATE+KEY+") {
			return nil, misuse("line %d of %s is a signing key: it needs the public one, and the other is for nobody to see", number, file)
		}
		v, err := note.NewVerifier(text)
		if err != nil {
			return nil, misuse("line %d of %s is not the public key of a log", number, file)
		}
		logs = append(logs, v)
	}
	if err := lines.Err(); err != nil {
		return nil, misuse("line %d of %s is not the public key of a log", number, file)
	}
	if len(logs) == 0 {
		return nil, misuse("%s has no public key of a log", file)
	}
	return logs, nil
}

// witnessServeCmd serves a witness.
type witnessServeCmd struct {
	witnessState `embed:""`
	Listen       string `default:"127.0.0.1:8440" placeholder:"ADDRESS" help:"The address to listen on. Port 0 is any free one. Default: 127.0.0.1:8440."`
}

func (c *witnessServeCmd) Help() string {
	return "The protocol is C2SP tlog-witness. It needs neither a password nor TLS: a head is signed by its log, and a cosignature by the witness. " +
		"A head that continues no earlier one is refused, and is printed: beside the last head it can prove that the log has two histories."
}

// The limits of a connection.
const (
	headerTime   = 10 * time.Second
	requestTime  = 30 * time.Second
	idleTime     = 2 * time.Minute
	shutdownTime = 10 * time.Second
)

func (c *witnessServeCmd) Run(ctx context.Context, s *session) error {
	events := &witnessEvents{s: s, seen: map[string]bool{}}
	server, logs, err := c.open(&witness.ServerOptions{Refused: events.refused})
	if err != nil {
		return err
	}
	defer server.Close()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return misuse("nothing can listen on the address of --listen")
	}
	web := &http.Server{
		Handler: server, ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0), // its lines have texts of strangers
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	events.listening(listener.Addr().String(), len(logs))
	select {
	case <-ctx.Done():
	case <-served:
		return misuse("the connections of --listen ended")
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if web.Shutdown(end) != nil {
		web.Close()
	}
	return nil
}

// witnessEvents prints what happens to a witness, one event at a time.
type witnessEvents struct {
	s *session

	mu   sync.Mutex
	seen map[string]bool // heads that were printed
}

// A witnessEvent is an event as JSON has it, on one line.
type witnessEvent struct {
	Event   string `json:"event"`
	Address string `json:"address,omitempty"`
	Logs    int    `json:"logs,omitempty"`
	Head    string `json:"head,omitempty"`
}

func (e *witnessEvents) print(event witnessEvent, text string) {
	if e.s.cli.JSON {
		json.NewEncoder(e.s.stdout).Encode(event)
		return
	}
	fmt.Fprintln(e.s.stdout, text)
}

func (e *witnessEvents) listening(address string, logs int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.print(witnessEvent{Event: "listening", Address: address, Logs: logs}, fmt.Sprintf("listening on %s for %d logs", address, logs))
}

// refused prints a head that was refused. Anybody who has seen it can send it again, so it
// is printed once.
func (e *witnessEvents) refused(head []byte) {
	const most = 1000
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen[string(head)] {
		return
	}
	if len(e.seen) == most {
		clear(e.seen)
	}
	e.seen[string(head)] = true
	e.print(witnessEvent{Event: "refused", Head: string(head)}, "refused a head that continues no earlier one:\n"+printableLines(head))
}

// printableLines returns a text whose lines have printable characters alone.
func printableLines(text []byte) string {
	lines := strings.Split(string(bytes.TrimSuffix(text, []byte("\n"))), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// witnessCosignCmd cosigns the heads in a directory.
type witnessCosignCmd struct {
	witnessState `embed:""`
	Heads        string `arg:"" help:"The directory to which processes add heads: dir of witnesses in their [audit_log]."`
	Out          string `placeholder:"DIR" help:"Add cosigned heads to this directory, which --kept of onlyfor audit verify reads."`
}

// cosignReport is a report about one log as JSON has it.
type cosignReport struct {
	Log     string   `json:"log"`
	Entries int64    `json:"entries"`
	New     bool     `json:"new"`
	Head    string   `json:"head,omitempty"`
	Refused []string `json:"refused"`
	Finding string   `json:"finding,omitempty"`
}

func (c *witnessCosignCmd) Run(_ context.Context, s *session) error {
	for _, dir := range []string{c.Heads, c.Out} {
		if info, err := os.Stat(dir); dir != "" && (err != nil || !info.IsDir()) {
			return misuse("there is no directory %s", dir)
		}
	}
	server, logs, err := c.open(nil)
	if err != nil {
		return err
	}
	defer server.Close()
	reports, err := server.CosignFolder(os.DirFS(c.Heads))
	if err != nil {
		return misuse("the heads in %s can't be read", c.Heads)
	}
	out, code := []cosignReport{}, well
	for _, r := range reports {
		report, err := c.report(r, logs)
		if err != nil {
			return err
		}
		if report.Finding != "" || len(report.Refused) > 0 {
			code = found
		}
		out = append(out, report)
	}
	if err := s.print(out, func(w io.Writer, width int) { writeCosigned(w, width, c.Heads, out) }); err != nil {
		return err
	}
	if code != well {
		return exit{code}
	}
	return nil
}

// report returns the report about a log, and keeps its head.
func (c *witnessCosignCmd) report(r witness.FolderReport, logs []note.Verifier) (cosignReport, error) {
	report := cosignReport{Log: r.Origin, Entries: r.Head.Size, New: r.New, Refused: append([]string{}, r.Refused...)}
	switch {
	case errors.Is(r.Err, witness.ErrInconsistent):
		report.Finding = "the directory does not continue the heads that were cosigned: the log was cut off, put back or written anew"
	case r.Err != nil:
		return report, misuse("the heads of %s can't be read, or the state can't be written", printable(r.Origin))
	}
	signed, err := r.Head.MarshalText()
	if err != nil {
		return report, nil // there is no head yet
	}
	report.Head = string(signed)
	if c.Out == "" {
		return report, nil
	}
	for _, v := range logs {
		if v.Name() == r.Origin && keepHead(c.Out, v, r) == nil {
			return report, nil
		}
	}
	return report, misuse("%s can't be written", c.Out)
}

// keepHead adds a head to a directory, if it is signed with this key of the log.
func keepHead(dir string, log note.Verifier, r witness.FolderReport) error {
	f, err := witness.NewFolder(dir, log)
	if err != nil {
		return err
	}
	return errors.Join(f.Keep(r.Head), f.Close())
}

func writeCosigned(w io.Writer, width int, dir string, reports []cosignReport) {
	for _, r := range reports {
		state := "no head yet"
		switch {
		case r.New:
			state = fmt.Sprintf("cosigned %d entries", r.Entries)
		case r.Head != "":
			state = fmt.Sprintf("nothing new after %d entries", r.Entries)
		}
		if r.Finding != "" {
			state = fmt.Sprintf("FOUND %s. %d entries are cosigned", r.Finding, r.Entries)
		}
		term.Text(w, width, printable(r.Log)+": "+state)
		for _, name := range r.Refused {
			term.Text(w, width, fmt.Sprintf("%s: FOUND a second history, in %s", printable(r.Log), filepath.Join(dir, name)))
		}
	}
}

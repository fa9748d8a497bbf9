package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault/internal/privatefile"
)

// A Server is a witness over HTTP, as C2SP tlog-witness has it:
//
//	POST /add-checkpoint                cosigns a head
//	GET  /<hash of origin>/checkpoint   is the last head that it cosigned
//
// The hash is the SHA-256 of the origin in lower-case hexadecimal digits. The answers to
// add-checkpoint are 200 with the cosignature, 400 for a malformed request, 403 for a head
// that no key of the log has signed, 404 for a log that the witness does not know, 409
// with the size that the witness has when the request is not about that size, 413 for a
// request that is too large, 422 for a head that does not continue the log, and 500 if
// the state can't be written. The protocol needs no authentication: without the key of a
// log nobody changes anything. The http.Server that a Server runs in needs time limits
// for the headers of requests.
//
// The methods of a Server may be called from many goroutines at once.
type Server struct {
	signer   note.Signer
	verifier note.Verifier
	refused  func(head []byte)
	mux      *http.ServeMux
	logs     map[string]*witnessed
	dir      *privatefile.Dir
	lock     *privatefile.Lock
	path     string

	mu     sync.Mutex // held while the state changes
	closed bool
}

// A witnessed is a log with the last head that was cosigned.
type witnessed struct {
	keys []note.Verifier
	file string
	mu   sync.Mutex
	last checkpoint // zero if there is none
	// unknown says that the last write failed, so that the file can have another head.
	unknown bool
}

// ServerOptions are the options of [Open]. A nil *ServerOptions has the defaults.
type ServerOptions struct {
	// Refused, if not nil, is called with each head that a log signed and that was refused
	// as no continuation of the last one, from many goroutines at once. Beside the last
	// head, a head of the same size and another hash proves that the log signs two
	// histories. A head of another size can have come with a false proof from anybody who
	// has seen it.
	Refused func(head []byte)
}

// Open returns a witness with its state in the directory dir, and makes the directory if
// it is missing; its parent must exist. The directory must belong to this process's user
// and be closed to everybody else. logs are the public keys of the logs: the name of a key
// is the origin of its log, and a log may have several keys. signer makes cosignatures, and
// verifier is the public half of its key: see [NewSigner] and [NewVerifier].
//
// Open fails with [ErrInUse] if another witness has the directory, with [ErrAltered] if
// its state is not one that this witness wrote, and with [ErrArgument] for arguments that
// can't be used. An empty directory is a new witness: see the package's documentation
// about a lost one.
func Open(dir string, signer note.Signer, verifier note.Verifier, logs []note.Verifier, opts *ServerOptions) (*Server, error) {
	switch {
	case dir == "" || signer == nil || verifier == nil || len(logs) == 0:
		return nil, fmt.Errorf("witness: no directory, no key or no log: %w", ErrArgument)
	case signer.Name() != verifier.Name() || signer.KeyHash() != verifier.KeyHash():
		return nil, fmt.Errorf("witness: verifier of another key than the signer's: %w", ErrArgument)
	}
	s := &Server{signer: signer, verifier: verifier, path: dir, logs: map[string]*witnessed{}, mux: http.NewServeMux()}
	if opts != nil {
		s.refused = opts.Refused
	}
	for _, key := range logs {
		if key == nil || !validName(key.Name()) || key.Name() == signer.Name() {
			return nil, fmt.Errorf("witness: nil log, or one without a name of its own: %w", ErrArgument)
		}
		w := s.logs[key.Name()]
		if w == nil {
			w = &witnessed{file: hashOf(key.Name())}
			s.logs[key.Name()] = w
		}
		w.keys = append(w.keys, key)
	}
	s.dir = privatefile.New(dir)
	var err error
	if s.lock, err = s.dir.TryLock(); err != nil {
		return nil, s.fail(err)
	}
	for origin, w := range s.logs {
		if err := s.read(origin, w); err != nil {
			s.lock.Unlock()
			return nil, err
		}
	}
	s.mux.HandleFunc("POST /add-checkpoint", s.addCheckpoint)
	s.mux.HandleFunc("GET /{origin}/checkpoint", s.checkpoint)
	return s, nil
}

// hashOf returns the name of a log in paths. An origin can be any text.
func hashOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// read reads the state of a log. The witness verifies its own cosignature: a state that
// somebody exchanged would make it cosign a second history.
func (s *Server) read(origin string, w *witnessed) error {
	b, err := s.dir.Read(w.file, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.fail(err)
	}
	c, ok := openCheckpoint(string(b), w.keys)
	if !ok || c.origin != origin || !s.signed(string(b)) {
		return fmt.Errorf("witness: state of %q in %s: %w", origin, s.path, ErrAltered)
	}
	c.signed = string(b)
	w.last = c
	return nil
}

// signed reports whether the witness cosigned a checkpoint.
func (s *Server) signed(checkpoint string) bool {
	n, err := note.Open([]byte(checkpoint), note.VerifierList(s.verifier))
	return err == nil && len(n.Sigs) == 1
}

// Close gives the directory back. Requests are refused from then on.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.lock.Unlock()
	}
	return nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	for _, log := range s.logs {
		if log.file != r.PathValue("origin") {
			continue
		}
		log.mu.Lock()
		last := log.last
		log.mu.Unlock()
		if last.signed == "" {
			break
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, last.signed)
		return
	}
	http.Error(w, "no such log", http.StatusNotFound)
}

// maxBodyTime is the time that a client may take to send a request.
const maxBodyTime = 10 * time.Second

func (s *Server) addCheckpoint(w http.ResponseWriter, r *http.Request) {
	// Not every server has deadlines. The deadlines of the http.Server hold beside it.
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(maxBodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(maxRequest)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "request is too large", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "request was cut off", http.StatusBadRequest)
		return
	}
	req, ok := parseRequest(string(body))
	if !ok {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return
	}
	log := s.logs[originOf(req.signed)]
	if log == nil {
		http.Error(w, "unknown log", http.StatusNotFound)
		return
	}
	c, ok := openCheckpoint(req.signed, log.keys)
	if !ok {
		http.Error(w, "not signed by the log", http.StatusForbidden)
		return
	}
	lines, size, status := s.add(log, c, req)
	if status == http.StatusUnprocessableEntity && s.refused != nil {
		s.refused([]byte(c.signed))
	}
	switch status {
	case http.StatusOK:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, lines)
	case http.StatusConflict:
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%d\n", size)
	default:
		http.Error(w, http.StatusText(status), status)
	}
}

// add cosigns a head if it continues the log. It returns the cosignature, the size of the
// last head, and the status of the answer.
func (s *Server) add(log *witnessed, c checkpoint, req request) (lines string, size int64, status int) {
	log.mu.Lock()
	defer log.mu.Unlock()
	last, err := s.lastOf(log, c.origin)
	if err != nil {
		return "", 0, http.StatusInternalServerError
	}
	switch {
	case req.old > c.size:
		return "", last.size, http.StatusBadRequest
	case req.old != last.size:
		return "", last.size, http.StatusConflict
	case !consistent(last.tree(), c.tree(), req.proof):
		return "", last.size, http.StatusUnprocessableEntity
	}
	if lines, err = s.cosign(log, c); err != nil {
		return "", last.size, http.StatusInternalServerError
	}
	return lines, c.size, http.StatusOK
}

// lastOf returns the last head of a log, or one of an empty tree. log is locked.
func (s *Server) lastOf(log *witnessed, origin string) (checkpoint, error) {
	if log.unknown {
		if err := s.read(origin, log); err != nil {
			return checkpoint{}, err
		}
		log.unknown = false
	}
	if log.last.signed == "" {
		return checkpoint{origin: origin, hash: emptyTree}, nil
	}
	return log.last, nil
}

// cosign cosigns a head that continues the last one, and returns the cosignature. The head
// is the last one then, durably. log is locked.
func (s *Server) cosign(log *witnessed, c checkpoint) (line string, err error) {
	line, err = sign(c, s.signer)
	if err != nil {
		return "", err
	}
	if c.signed += line; len(c.signed) > maxCheckpoint {
		return "", errTooLarge
	}
	if err := s.write(log.file, c.signed); err != nil {
		log.unknown = true
		return "", err
	}
	log.last = c
	return line, nil
}

// errTooLarge reports a head that is too large with its cosignature.
var errTooLarge = errors.New("head with its cosignature is too large")

// write makes a state durable. Nobody has the cosignature before.
func (s *Server) write(file, signed string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fs.ErrClosed
	}
	return s.lock.Write(file, []byte(signed))
}

// sign returns the signature line of a cosignature. A signer that panics has failed.
func sign(c checkpoint, signer note.Signer) (line string, err error) {
	panicked := true
	defer func() {
		if panicked {
			recover()
			err = errors.New("witness: signer panicked")
		}
	}()
	signed, err := note.Sign(&note.Note{Text: c.text}, signer)
	panicked = false
	if err != nil {
		return "", err
	}
	return string(signed[len(c.text)+1:]), nil
}

// fail adds the directory and, where one fits, a sentinel to an error.
func (s *Server) fail(err error) error {
	switch {
	case errors.Is(err, privatefile.ErrLocked):
		return fmt.Errorf("witness: state %s: %w", s.path, ErrInUse)
	case errors.Is(err, privatefile.ErrRefused), errors.Is(err, privatefile.ErrTooLarge):
		return fmt.Errorf("witness: state %s: %w: %w", s.path, err, ErrAltered)
	}
	return fmt.Errorf("witness: state %s: %w", s.path, err)
}

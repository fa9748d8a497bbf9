package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/onlyfor/onlyfor/vault"
)

// roleFlag makes this program one of the services. People do not use it, so no help
// mentions it.
const roleFlag = "-role"

// The services.
const (
	frontEnd        = "front end"
	securityService = "security"
	adsService      = "ads"
)

// roles has the function that starts each service.
var roles = map[string]func(context.Context, grant) (steps, error){
	frontEnd:        startFront,
	securityService: startSecurity,
	adsService:      startAds,
}

// steps are the functions of a service, by the names of the steps that it is told.
type steps map[string]func(context.Context) (answer, error)

// An answer is a service's report on its start or on a step.
type answer struct {
	Did      string    // the work that the service did, in half a line
	Attempts []attempt // its attempts to overstep
	Error    string
	Granted  bool // the error is [vault.ErrGranted]
}

// serve is a service: it reads its grant and then names of steps from in, and answers
// each on out. It ends when in ends, so it never outlives the program that started it.
func serve(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	lines, answers := json.NewDecoder(in), json.NewEncoder(out)
	var g grant
	start := roles[role]
	if err := lines.Decode(&g); err == io.EOF {
		return nil // the program that started this process is gone
	} else if err != nil || start == nil {
		return errors.New("a service is started by the program itself")
	}
	todo, err := start(ctx, g)
	if err != nil {
		return answers.Encode(answer{Error: err.Error(), Granted: errors.Is(err, vault.ErrGranted)})
	}
	if err := answers.Encode(answer{}); err != nil {
		return err
	}
	for {
		var name string
		if err := lines.Decode(&name); err == io.EOF {
			return nil
		} else if err != nil || todo[name] == nil {
			return errors.New("no such step")
		}
		did, err := todo[name](ctx)
		if err != nil {
			did.Error = err.Error()
		}
		if err := answers.Encode(did); err != nil {
			return err
		}
	}
}

// A process is a service as the company sees it.
type process struct {
	role    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	lines   *json.Encoder
	answers *json.Decoder
	wait    func() error
}

const (
	maxAnswers = 1 << 20         // size of all answers of a process, in bytes
	grace      = 5 * time.Second // time for a process to end by itself
)

// start starts the program again as the given service, as a user of its own if the
// grant names one. The process ends at the latest with ctx.
func start(ctx context.Context, program, role string, g grant) (*process, error) {
	cmd := exec.CommandContext(ctx, program, roleFlag, role)
	cmd.Stderr, cmd.WaitDelay = os.Stderr, grace
	cmd.Env = reaching(os.Environ())
	cmd.Dir = g.Dir
	if g.User != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
			Uid: g.User, Gid: g.User, Groups: []uint32{dataGroup},
		}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	if err := cmd.Start(); err != nil {
		if g.User != 0 {
			return nil, fmt.Errorf("starting %s as user %d (-users=false does without): %w", role, g.User, err)
		}
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	return &process{
		role: role, cmd: cmd, in: in,
		lines:   json.NewEncoder(in),
		answers: json.NewDecoder(io.LimitReader(out, maxAnswers)),
		wait:    sync.OnceValue(cmd.Wait),
	}, nil
}

// reaching returns the variables of the environment that lead to a key service. Services
// get no others, and above all not the token of the user who started this program.
func reaching(environ []string) []string {
	kept := []string{} // not nil, which would pass on the whole environment
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "VAULT_ADDR", "VAULT_CACERT", "VAULT_CACERT_BYTES", "VAULT_CAPATH", "VAULT_TLS_SERVER_NAME", "VAULT_NAMESPACE":
			kept = append(kept, entry)
		}
	}
	return kept
}

// tell sends a grant or the name of a step, and returns the answer of the process. If
// the answer has an error, tell returns both.
func (p *process) tell(what string, line any) (answer, error) {
	var a answer
	if p.lines.Encode(line) != nil || p.answers.Decode(&a) != nil {
		p.cmd.Process.Kill() // it may still run, and answer nonsense
		return a, fmt.Errorf("%s: process ended in the middle of %s: %w", p.role, what, p.ended())
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s: %s", p.role, what, a.Error)
	}
	return a, nil
}

func (p *process) ended() error {
	if err := p.wait(); err != nil {
		return err
	}
	return errors.New("without a word")
}

// stop ends the process, and returns once it is gone.
func (p *process) stop() {
	p.in.Close() // tells the process to end
	kill := time.AfterFunc(grace, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	p.wait()
}

// Command order plays the day on which a regulator's order asks a company eight questions
// about telephone numbers. Each is answered by a command of onlyfor, which needs no program.
//
//	go -C vault/cmd/onlyfor run ./order
//
// README.md has the questions, the commands and the pages that they print. The company is in
// service.go. It keeps its files in a temporary directory and needs no server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// A question of the order, and the command that answers it.
type question struct {
	name, text string
	as         string // the role that runs the command
	command    string
}

// The assessor has copies of the services' logs, their public keys, and the heads that the
// logs have sent meanwhile.
const (
	keys = "--key keys/sign-in.pub --key keys/ads.pub --key keys/support.pub --kept kept/sign-in --kept kept/ads --kept kept/support"
	dirs = "logs/sign-in logs/ads logs/support " + keys
	logs = "--log logs/sign-in --log logs/ads --log logs/support " + keys
)

var order = []question{
	{"Q1", "How many people gave a number for security, under which notice, since when, and what was it used for?", "assessor",
		"onlyfor report affected --purpose security " + logs},
	{"Q2", "Who revealed or matched numbers? Prove that the log is unedited.", "assessor",
		"onlyfor audit who " + dirs},
	{"Q3", "Can advertising open the numbers of security? (For the past see check-denied in Q2.)", "ads",
		"onlyfor doctor --role ads --sample 0"},
	{"Q4", "Which code uses the numbers, and for what?", "assessor",
		"onlyfor report ropa --register register.json"},
	{"Q5", "How many withdrew, or were erased, and when?", "assessor",
		"onlyfor audit who logs/ops --key keys/ops.pub --kept heads --purpose advertising"},
	{"Q5a", "What was done with the number of member m039, who was erased?", "ops",
		"onlyfor audit person m039 logs/sign-in logs/ads logs/support logs/ops " + keys + " --key keys/ops.pub --kept heads --reason 'order 7'"},
	{"Q6", "The notice 2fa-prompt-v2 deceived. List its members, for a letter.", "assessor",
		"onlyfor report affected --notice 2fa-prompt-v2 --rows letters.csv " + logs},
	{"Q6a", "What would stop, if the numbers under this notice were stopped?", "ops",
		"onlyfor suspend security --notice 2fa-prompt-v2 --reason 'order 7' --dry-run --log logs/sign-in,logs/ads,logs/support"},
	{"Q6b", "Stop their use now, in every process.", "ops",
		"onlyfor suspend security --notice 2fa-prompt-v2 --reason 'order 7'"},
	{"Q7", "Did an employee move numbers from security to advertising?", "assessor",
		"onlyfor audit verify " + dirs + " --apart security,advertising"},
	{"Q8", "Hand over the record of processing activities (Article 30 GDPR).", "assessor",
		"onlyfor report ropa --register register.json --html record.html"},
}

func main() {
	dir, err := os.MkdirTemp("", "onlyfor-order-")
	if err == nil {
		err = run(context.Background(), os.Stdout, dir)
		os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dir string) error {
	c, err := newCompany(ctx, dir)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.years(ctx); err != nil {
		return err
	}
	for _, q := range order {
		fmt.Fprintf(w, "== %s. %s\n\n", q.name, q.text)
		if err := c.answer(ctx, w, q.as, q.command); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return c.after(ctx, w)
}

// after shows that a service heeds the suspension.
func (c *company) after(ctx context.Context, w io.Writer) error {
	err := c.signIn(ctx)
	if !errors.Is(err, vault.ErrSuspended) {
		return fmt.Errorf("sign-in goes on: %w", err)
	}
	fmt.Fprintf(w, "== The service sign-in, a moment later\n\n%v\n", err)
	return nil
}

// answer runs a command, and writes it with its output and its exit code.
func (c *company) answer(ctx context.Context, w io.Writer, role, command string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(c.dir, "bin")+":"+os.Getenv("PATH"), "VAULT_ADDR="+c.address, "VAULT_TOKEN="+token(role),
		"ONLYFOR_CALLER="+role, "COLUMNS=120")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err
	}
	fmt.Fprintf(w, "$ %s\n%s", command, out)
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		fmt.Fprintf(w, "exit code %d\n", code)
	}
	return nil
}

// operate runs a command of the year before, which has to succeed.
func (c *company) operate(ctx context.Context, role, command string) error {
	var out strings.Builder
	if err := c.answer(ctx, &out, role, command); err != nil {
		return err
	}
	if strings.Contains(out.String(), "\nexit code ") {
		return fmt.Errorf("the story goes on otherwise:\n%s", out.String())
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/sqlstore"
)

// A company operates the services: it makes the keys once, hands out grants and starts
// the processes. It handles no address.
type company struct {
	out, errs io.Writer

	// Flags.
	kms    string
	users  bool
	broken bool

	dir, database, program string
	keys                   keyKeeper
	collectors             []string

	// before is called before each step of a process, for tests.
	before func(p *process, step string)
}

// A keyKeeper keeps the KEKs: in files, or in a key service.
type keyKeeper interface {
	// kek makes the KEKs of purposes, and returns the KEK that makes keys with them.
	kek(ctx context.Context, purposes ...purpose.Purpose) (vault.KEK, error)
	// grant adds to g the right to open the keys of the purposes, and no others.
	grant(ctx context.Context, role string, g *grant, purposes ...purpose.Purpose) error
	// close withdraws the grants.
	close()
}

// granted has the purposes of each service.
var granted = map[string][]purpose.Purpose{
	frontEnd:        nil,
	securityService: {security},
	adsService:      {advertising},
}

// run starts the services, lets them work and then overstep, and reports whether every
// attempt to overstep was refused.
func (c *company) run(ctx context.Context) (held bool, err error) {
	if err := c.prepare(ctx); err != nil {
		c.clean()
		return false, err
	}
	defer c.clean()

	processes := make(map[string]*process)
	for _, role := range []string{frontEnd, securityService, adsService} {
		broken := c.broken && role == adsService
		p, err := c.start(ctx, role, broken, broken)
		if err != nil {
			return false, err
		}
		defer p.stop()
		processes[role] = p
	}
	fmt.Fprintf(c.out, "Three processes, %s.\n", c.apart())
	if c.broken {
		fmt.Fprintln(c.out, "As -break asks for, the ads service has the grant of security as well, and has not checked.")
	}

	for _, role := range []string{frontEnd, securityService, adsService} {
		a, err := c.tell(processes[role], "work")
		if err != nil {
			return false, err
		}
		fmt.Fprintf(c.out, "  %-10s %s\n", role, a.Did)
	}
	var tried []attempt
	// Security is last, because it reports the result of the ads service's forgery.
	for _, role := range []string{frontEnd, adsService, securityService} {
		a, err := c.tell(processes[role], "overstep")
		if err != nil {
			return false, err
		}
		tried = append(tried, a.Attempts...)
	}
	surplus, err := c.startWithTooMuch(ctx)
	if err != nil {
		return false, err
	}
	return report(c.out, append(tried, surplus))
}

// apart returns a description of the separation of the processes.
func (c *company) apart() string {
	kept := "the key service knows each by a token of its own"
	if c.kms == "" {
		kept = "each with KEK files of its own"
	}
	if c.users {
		return kept + ", and each as a user of its own, who cannot read the files and memory of the others: a boundary"
	}
	return kept + ", but all as one user, who can read all files and memory: a demonstration, no boundary (root makes it one)"
}

func (c *company) prepare(ctx context.Context) error {
	if err := c.makeDirectories(); err != nil {
		return err
	}
	c.keys = files{c}
	if c.kms != "" {
		server, err := newServer(c.kms)
		if err != nil {
			return err
		}
		c.keys = server
	}
	db, err := openDatabase(c.database)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, nil)
	if err != nil {
		return err
	}
	if err := store.CreateTable(ctx); err != nil {
		return err
	}
	if err := c.makeKeys(ctx, store); err != nil {
		return err
	}
	return c.shareDatabase()
}

// makeKeys makes the keys of both purposes, and the texts of their collectors. Only at
// this moment does one process have both.
func (c *company) makeKeys(ctx context.Context, store vault.Store) error {
	purposes := []purpose.Purpose{security, advertising}
	kek, err := c.keys.kek(ctx, purposes...)
	if err != nil {
		return err
	}
	v, err := vault.OpenAdmin(ctx, store, kek, nil)
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Generate(ctx, purposes...); err != nil {
		return err
	}
	for _, p := range purposes {
		collector, err := v.Collector(ctx, p)
		if err != nil {
			return err
		}
		text, err := collector.MarshalText()
		if err != nil {
			return err
		}
		c.collectors = append(c.collectors, string(text))
	}
	return nil
}

// start starts a service with its own grants, and also with security's if tooMuch is
// set.
func (c *company) start(ctx context.Context, role string, tooMuch, unchecked bool) (*process, error) {
	g := grant{Database: c.database, Collectors: c.collectors, Unchecked: unchecked}
	if err := c.makeHome(role, &g); err != nil {
		return nil, err
	}
	purposes := granted[role]
	if tooMuch {
		purposes = []purpose.Purpose{advertising, security}
	}
	if err := c.keys.grant(ctx, role, &g, purposes...); err != nil {
		return nil, fmt.Errorf("granting %s its keys: %w", role, err)
	}
	p, err := start(ctx, c.program, role, g)
	if err != nil {
		return nil, err
	}
	if c.before != nil {
		c.before(p, "start")
	}
	if a, err := p.tell("start", g); err != nil {
		p.stop()
		if a.Granted {
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
		return nil, err
	}
	return p, nil
}

// errRefused reports that a service with a grant too many refused to start.
var errRefused = errors.New("given a grant too many")

func (c *company) tell(p *process, step string) (answer, error) {
	if c.before != nil {
		c.before(p, step)
	}
	return p.tell(step, step)
}

// startWithTooMuch starts the ads service once more, with security's grant as well. A
// tired administrator makes such a mistake.
func (c *company) startWithTooMuch(ctx context.Context) (attempt, error) {
	a := attempts{who: adsService}
	p, err := c.start(ctx, adsService, true, false)
	if err == nil {
		p.stop()
	} else if !errors.Is(err, errRefused) {
		return attempt{}, err
	}
	a.failed("start with the grant of security, too", errRefused, err)
	return a.list[0], nil
}

func (c *company) clean() {
	if c.keys != nil {
		c.keys.close()
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}

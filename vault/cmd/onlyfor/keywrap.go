package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

type rewrapCmd struct {
	Purposes []string `arg:"" optional:"" help:"Names of purposes. Default: all."`
	Reason   string   `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *rewrapCmd) Help() string {
	return "Put the new KEK into [kek] and the old one into [previous_kek], and give services both (vault.EitherKEK). After this command, take [previous_kek] and the old grant away. Without [previous_kek], keys are wrapped with the newest version of a key of the key service."
}

func (c *rewrapCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	purposes, err := at.purposes(c.Purposes)
	if err != nil {
		return err
	}
	by := map[string]string{}
	for _, p := range purposes {
		if maker, ok := at.kek.(vault.KeyGenerator); ok && at.PreviousKEK != nil {
			// vault.KEKs makes keys too, and refuses where its KEK of p makes none.
			if err := maker.Generate(ctx, p); err != nil && !errors.Is(err, vault.ErrNoKeys) {
				return err
			}
		}
		if err := at.admin.Rewrap(ctx, at.kek, p); err != nil {
			return err
		}
		if by[p.String()], err = at.admin.WrappedBy(ctx, p); err != nil {
			return err
		}
	}
	if err := at.writePins(ctx, purposes...); err != nil {
		return err
	}
	return s.print(map[string]any{"wrapped_by": by}, func(w io.Writer, width int) {
		for _, p := range purposes {
			term.Text(w, width, fmt.Sprintf("The keys of %v are wrapped by %s.", p, orNameless(by[p.String()])))
		}
	})
}

func orNameless(name string) string {
	if name == "" {
		return "the KEK of the configuration, which has no name"
	}
	return name
}

type collectorCmd struct {
	Purpose string `arg:"" help:"The name of the purpose."`
}

func (c *collectorCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	p, err := at.purpose(c.Purpose)
	if err != nil {
		return err
	}
	collector, err := at.vault.Collector(ctx, p)
	if err != nil {
		return err
	}
	text, err := collector.MarshalText()
	if err != nil {
		return err
	}
	return s.print(map[string]string{"collector": string(text)}, func(w io.Writer, _ int) { fmt.Fprintln(w, string(text)) })
}

type pinCmd struct{}

func (c *pinCmd) Run(ctx context.Context, s *session) error {
	ctx, at, err := s.open(ctx, options{})
	if err != nil {
		return err
	}
	defer at.Close()
	if at.Pins == "" {
		return misuse("the configuration has no file of pins")
	}
	if err := at.writePins(ctx, at.Purposes...); err != nil {
		return err
	}
	return s.print(map[string]string{"pins": at.Pins}, func(w io.Writer, width int) {
		term.Text(w, width, fmt.Sprintf("Wrote the pins of %s to %s. Keep a copy where nobody puts back the key store.", list(at.Purposes), at.Pins))
	})
}

type makeKEKCmd struct {
	Purpose string `arg:"" help:"The name of the purpose."`
	File    string `arg:"" help:"The file to write, with mode 0600. A file that exists is refused."`
}

func (c *makeKEKCmd) Run(_ context.Context, s *session) error {
	p, err := purpose.Parse(c.Purpose)
	if err != nil {
		return misuse("the name of a purpose is a-z, then a-z, 0-9 and -")
	}
	text, err := vault.GenerateKEK(p)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return misuse("the file %s exists, or can't be made", c.File)
	}
	_, err = f.WriteString(text + "\n")
	if errors.Join(err, f.Sync(), f.Close()) != nil {
		return misuse("the file %s can't be written", c.File)
	}
	return s.print(map[string]string{"purpose": c.Purpose, "file": c.File}, func(w io.Writer, width int) {
		term.Text(w, width, fmt.Sprintf("Wrote the KEK of %v to %s. Put it into the platform's secrets and into a safe, and delete the file.", p, c.File))
	})
}

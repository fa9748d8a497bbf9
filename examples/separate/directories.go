package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// The users that the services run as. No distribution hands out ids of this range.
const (
	firstUser = 61101
	dataGroup = 61100 // group of all services, which may write to the database
)

var users = map[string]uint32{frontEnd: firstUser, securityService: firstUser + 1, adsService: firstUser + 2}

// makeDirectories makes the directories that several services use.
func (c *company) makeDirectories() (err error) {
	if c.dir, err = os.MkdirTemp("", "onlyfor-separate-"); err != nil {
		return err
	}
	data := filepath.Join(c.dir, "data")
	c.database = filepath.Join(data, "company.db")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if c.program, err = os.Executable(); err != nil || !c.users {
		return err
	}
	// Other users pass through, and start a copy of the program: "go run" puts it in a
	// directory that they can't enter.
	if err := os.Chmod(c.dir, 0o711); err != nil {
		return err
	}
	copied := filepath.Join(c.dir, "separate")
	if err := copyFile(copied, c.program, 0o755); err != nil {
		return err
	}
	c.program = copied
	return nil
}

// shareDatabase lets all services write to the database.
func (c *company) shareDatabase() error {
	if !c.users {
		return nil
	}
	data := filepath.Dir(c.database)
	return errors.Join(
		os.Chown(data, -1, dataGroup), os.Chmod(data, 0o770|os.ModeSetgid),
		os.Chown(c.database, -1, dataGroup), os.Chmod(c.database, 0o660))
}

// makeHome makes a directory for one service alone.
func (c *company) makeHome(role string, g *grant) error {
	g.Coveted = filepath.Join(c.dir, securityService, "kek", security.String()+".kek")
	if role == securityService {
		g.Coveted = filepath.Join(c.dir, adsService, "kek", advertising.String()+".kek")
	}
	g.Dir = filepath.Join(c.dir, role)
	err := os.Mkdir(g.Dir, 0o700)
	if errors.Is(err, os.ErrExist) { // this is the second process of its role
		g.Dir += " again"
		err = os.Mkdir(g.Dir, 0o700)
	}
	if err != nil {
		return err
	}
	if !c.users {
		return nil
	}
	g.User = users[role]
	return os.Chown(g.Dir, int(g.User), int(g.User))
}

func copyFile(to, from string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Chmod(mode) // independent of the umask
	}
	return errors.Join(err, out.Close())
}

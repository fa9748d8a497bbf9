package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onlyfor/onlyfor/purpose"
)

// initCmd writes a configuration and makes the first keys.
type initCmd struct {
	Purposes []string `arg:"" optional:"" help:"Names of purposes. Default: security and advertising."`
}

func (c *initCmd) Run(ctx context.Context, s *session) error {
	names := c.Purposes
	if len(names) == 0 {
		names = []string{"security", "advertising"}
	}
	for i, name := range names {
		if _, err := purpose.Parse(name); err != nil {
			return misuse("the name of a purpose is a-z, then a-z, 0-9 and -")
		}
		for _, other := range names[:i] {
			if other == name {
				return misuse("a purpose is named twice")
			}
		}
	}
	path := s.cli.Config
	data := filepath.Join(filepath.Dir(path), dataDir)
	for _, existing := range []string{path, data} {
		if _, err := os.Lstat(existing); !errors.Is(err, fs.ErrNotExist) {
			return refuse("%s exists, and init overwrites nothing", existing).hinting("Use what is there, or name another file with --config.")
		}
	}
	// The directory comes first: without it, the configuration names nothing.
	if err := os.Mkdir(data, 0o700); err != nil {
		return misuse("the directory %s can't be made", data)
	}
	for name, text := range map[string]string{filepath.Join(data, ".gitignore"): "*\n", path: sample(names)} {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return misuse("the file %s can't be made", name)
		}
		_, err = f.WriteString(text)
		if errors.Join(err, f.Close()) != nil {
			return misuse("the file %s can't be written", name)
		}
	}
	ctx, at, err := s.open(ctx, options{reason: "init"})
	if err != nil {
		return err
	}
	defer at.Close()
	if err := at.admin.Generate(ctx, at.Purposes...); err != nil {
		return err
	}
	if err := at.writePins(ctx, at.Purposes...); err != nil {
		return err
	}
	return s.print(map[string]any{"config": path, "purposes": names}, func(w io.Writer, width int) {
		fmt.Fprintf(w, "made %s and keys for %s\n", path, strings.Join(names, ", "))
	})
}

// dataDir is the directory of keys beside the configuration.
const dataDir = "onlyfor-data"

// sample returns the commented configuration that init writes.
func sample(purposes []string) string {
	quoted := make([]string, len(purposes))
	for i, name := range purposes {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.NewReplacer(
		"<purposes>", strings.Join(quoted, ", "), "<data>", dataDir, "<first>", purposes[0],
		"<FIRST>", strings.ToUpper(strings.ReplaceAll(purposes[0], "-", "_")), // as vault.EnvKEK has it
	).Replace(sampleText)
}

const sampleText = `# Configuration of the command onlyfor. It holds no secret: data source names and keys
# are in environment variables, in mounted files, or with a key service, and this file
# names the place. Relative paths begin at this file. onlyfor doctor checks all of it.

# Why personal data is collected: a-z, then a-z, 0-9 and -.
purposes = [<purposes>]

audit = "<data>/audit.jsonl"            # every use of a key, one JSON object a line
# Or, or beside it, [audit_log] below: a log that can't be edited unnoticed.
pins = "<data>/pins"                    # the states that the key store has reached
certificates = "<data>/certificates"    # of people who were erased
# refresh = "5m"          # as in all services: how soon they know of a new key
# destroy_after = "30d"   # how long a key has to be retired before it is destroyed
# rotate_after = "365d"   # doctor warns of older keys
# run_as = "ops"          # the role of this command, for onlyfor doctor

[store]
dir = "<data>/keys"       # wrapped keys: back them up, apart from the KEK
# database = "app"      # or a table of a database, for more than one machine
# table = "onlyfor_keys"

# The key-encryption keys decide who may use which purpose. Exactly one of:
[kek]
local = "<data>/kek"      # files of this machine, for a start
# secret = "/run/secrets"                     # a mounted directory with <first>.kek
# secret_variable = "CREDENTIALS_DIRECTORY"   # the variable with that directory
# environment = "ONLYFOR_KEK_"                # variables such as ONLYFOR_KEK_<FIRST>
# service = "hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}"
# service = "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}"
# service = "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/{purpose}"

# [kek.of.<first>]        # another place for one purpose
# local = "/etc/onlyfor/<first>"

# [previous_kek]        # while onlyfor keys rewrap moves the keys to [kek]
# local = "old-kek"

# [audit_log]           # a log that can't be edited unnoticed; one process at a time writes it
# dir = "<data>/audit"
# key = "<data>/audit.key"                      # onlyfor audit key makes it
# heads = "/mnt/auditors/heads"               # where nobody can change it
# witnesses = [{url = "https://witness.example", key = "witness.pub"}, {dir = "/mnt/auditors"}]

# [approval]            # a second person for keys destroy and resume
# keys = ["bob+…"]                            # any one of them; onlyfor approve key prints it

# [[database]]
# name = "app"
# kind = "postgres"     # or mysql; sqlite has: file = "app.db"
# variable = "ONLYFOR_DATABASE"   # the variable with the data source name

# Which tables have personal data, for onlyfor migrate, keys and doctor.
# [[table]]
# database = "app"
# name = "users"
# key = "id"
# subject = "id"        # the person's id, if values are sealed for the person
# [[table.column]]
# kind = "phone"        # or email
# plain = "phone"       # until it is dropped
# sealed = "phone_sealed"
# read = "phonenumber"  # numbers as people typed them; or plus, or json with a field
# region = "GB"         # or region_column = "country"
# index.<first> = "phone_index"
# [[table.column.collected]]        # the first rule that fits a row decides
# when = {phone_source = "2fa"}
# for = ["<first>"]
# notice = "2fa-prompt-v3"
# legal = "contract"
# collected_column = "created_at"
# retain_days = 1825
# [[table.column.leave]]            # values that stay in plaintext, and why
# when = {is_test = "true"}
# reason = "test-account"

# Who may use which purpose; everything else has to be shut.
# [[role]]
# name = "ops"
# manages = [<purposes>]
# [[role]]
# name = "sign-in"
# opens = ["<first>"]
# erases = ["<first>"]          # people, as onlyfor erase does
# account = "sign_in"         # in the database of the key store, for onlyfor policy --sql
# view = "keys_of_sign_in"    # there, on MySQL and MariaDB

# What onlyfor report ropa states, and neither values nor source can tell.
# [record]
# controller = "Example Ltd, 1 Example Street, London"
# contact = "privacy@example.com"
# officer = "A. Person"
# [record.purposes.<first>]
# description = "Signing in, and the recovery of accounts."
# categories = ["members"]
# recipients = ["the SMS gateway"]
# transfers = ["none"]
# measures = ["sealed for each purpose"]

# A copy of the key store, and the KEK in escrow that has to open it, for doctor.
# [backup]
# purposes = ["<first>"]
# store.dir = "/backup/keys"
# kek.local = "/escrow/kek"
`

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/onlyfor/onlyfor/pii/migrate"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// A rotationPlan is the whole rotation of one key, as OPERATIONS.md has it. It keeps no
// state of its own: the statuses of the keys and the rows of the tables say which work is
// left, so any host can go on with a rotation that another one began.
type rotationPlan struct {
	*session
	*site
	purpose purpose.Purpose
	role    vault.Role
	age     time.Duration
	refresh time.Duration
	move    step // of every table
}

// A rotationReport is the result of a rotation.
type rotationReport struct {
	Purpose purpose.Purpose `json:"purpose"`
	Role    vault.Role      `json:"role"`
	Rotated bool            `json:"rotated"`
	Primary string          `json:"primary"`
	Retired []string        `json:"retired"`
	Tables  []stepReport    `json:"tables"`
}

// defaultRefresh is the default of vault.Options.Refresh.
const defaultRefresh = 5 * time.Minute

// runPlan goes through a rotation, or on with one that was begun.
func (c *rotation) runPlan(ctx context.Context, s *session, role vault.Role, age time.Duration) error {
	plan := &rotationPlan{session: s, role: role, age: age, move: (*migrate.Migration).Reseal}
	switch role {
	case vault.RoleCollect:
		return misuse("--run is for keys that seal and for index keys").
			hinting("Which front ends still have the old text of a collector can't be seen from here: see vault/OPERATIONS.md.")
	case vault.RoleIndex:
		plan.move = (*migrate.Migration).Reindex
	}
	if plan.age == 0 {
		plan.age = 24 * time.Hour // so that the same command, after the end, does nothing
	}
	ctx, at, err := s.open(ctx, options{reason: c.Reason})
	if err != nil {
		return err
	}
	defer at.Close()
	plan.site = at
	if plan.refresh = time.Duration(at.Refresh); plan.refresh == 0 {
		plan.refresh = defaultRefresh
	}
	if plan.purpose, err = at.purpose(c.Purpose); err != nil {
		return err
	}
	report, err := plan.run(ctx)
	if err != nil {
		return err
	}
	return s.print(report, func(w io.Writer, width int) {
		if len(report.Retired) == 0 {
			term.Text(w, width, fmt.Sprintf("The %s key of %v is not older than that, and no rotation is under way: nothing was done.", role, plan.purpose))
			return
		}
		text := fmt.Sprintf("Rotated: %s is the primary key, and %s is retired.", report.Primary, join(report.Retired))
		if role == vault.RoleSeal {
			text += " Backups of data that name the retired key need it: onlyfor keys destroy, once there are none."
		}
		term.Text(w, width, text)
	})
}

func join(ids []string) string {
	text := ids[0]
	for _, id := range ids[1:] {
		text += ", " + id
	}
	return text
}

func (r *rotationPlan) run(ctx context.Context) (*rotationReport, error) {
	report := &rotationReport{Purpose: r.purpose, Role: r.role, Retired: []string{}}
	newest, old, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	if len(old) == 0 {
		if report.Rotated, err = r.admin.RotateIfOlder(ctx, r.purpose, r.role, r.age); err != nil {
			return nil, err
		}
		report.Primary = keyName(newest.ID)
		if !report.Rotated {
			return report, nil
		}
		if err := r.writePins(ctx, r.purpose); err != nil {
			return nil, err
		}
		if newest, old, err = r.state(ctx); err != nil {
			return nil, err
		}
		r.note("1. Published key %s of %v.", keyName(newest.ID), r.purpose)
	} else {
		r.note("1. A rotation is under way: key %s of %v follows older ones.", keyName(newest.ID), r.purpose)
	}
	report.Primary = keyName(newest.ID)

	// The new key becomes primary a Refresh and a tenth after it was made, and each process
	// knows that a Refresh later. From then on no process uses an old key.
	settled := newest.Created.Add(2*r.refresh + r.refresh/10 + time.Second)
	if at := newest.PrimaryAt; !at.IsZero() && settled.Before(at.Add(r.refresh)) {
		settled = at.Add(r.refresh)
	}
	if wait := time.Until(settled); wait > 0 {
		r.note("2. Wait until %s, when every process uses it.", settled.Local().Format(time.TimeOnly))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if r.role == vault.RoleSeal {
		r.note("3. Move the keys of persons.")
		if err := r.admin.RewrapSubjects(ctx, r.purpose, "", nil); err != nil {
			return nil, err
		}
	}
	if report.Tables, err = r.tables(ctx); err != nil {
		return nil, err
	}
	r.note("5. Retire what no value needs.")
	for _, k := range old {
		if err := r.needless(ctx, r.purpose, k); err != nil {
			return nil, err
		}
		if err := r.admin.Retire(ctx, r.purpose, k.ID); err != nil {
			return nil, err
		}
		report.Retired = append(report.Retired, keyName(k.ID))
	}
	return report, r.writePins(ctx, r.purpose)
}

// state returns the youngest key of the role, and the older ones that are in use. Keys that
// are in use beside the youngest belong to a rotation that is under way.
func (r *rotationPlan) state(ctx context.Context) (newest vault.Key, old []vault.Key, err error) {
	if newest, err = r.newest(ctx, r.purpose, r.role); err != nil {
		return newest, nil, err
	}
	keys, err := r.admin.Keys(ctx, r.purpose)
	if err != nil {
		return newest, nil, err
	}
	for _, k := range keys {
		if k.Role == r.role && k.Status != vault.Retired && k.ID != newest.ID {
			old = append(old, k)
		}
	}
	return newest, old, nil
}

// tables moves the values, or the indexes, of every table, and verifies the table.
func (r *rotationPlan) tables(ctx context.Context) (reports []stepReport, err error) {
	for _, t := range r.Tables {
		if !t.Purposes().Contains(r.purpose) || r.role == vault.RoleIndex && !hasIndex(t, r.purpose) {
			continue
		}
		r.note("4. Move and verify table %s.", t.Name)
		m, err := r.migration(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, do := range []step{r.move, (*migrate.Migration).Verify} {
			report, err := do(m, ctx, (&stepFlags{}).options(r.session, t.Name))
			if err != nil {
				return nil, resumable(ctx, err, t.Name, "", false)
			}
			reports = append(reports, reportOf(t.Name, report))
			for problem := range report.Problems {
				// Work that is left in plaintext has nothing to do with keys.
				if !harmless[problem] || problem == migrate.Expired || problem == migrate.Erased {
					return nil, r.found(reports, problem)
				}
			}
		}
	}
	return reports, nil
}

func hasIndex(t config.Table, p purpose.Purpose) bool {
	return slices.ContainsFunc(t.Columns, func(c config.Column) bool { return c.Indexes[p.String()] != "" })
}

// found returns the refusal of values that the rotation can't move.
func (r *rotationPlan) found(reports []stepReport, problem migrate.Problem) error {
	last := reports[len(reports)-1]
	if !r.cli.JSON {
		last.write(r.stderr, term.Width(r.stderr))
	}
	p := refuse("table %s has %s values, so the old key stays in use", last.Table, problem)
	switch problem {
	case migrate.Expired:
		return p.hinting("Run onlyfor migrate sweep, and then the same command again.")
	case migrate.Erased:
		return p.hinting("Clear the rows of erased people, and then run the same command again.")
	case migrate.Retired:
		return p.hinting("Reinstate the key that they name, and then run the same command again.")
	}
	return p.hinting("See to these values, and then run the same command again.")
}

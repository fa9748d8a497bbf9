package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// An activity is the slots of values that have these properties in common.
type activity struct{ purpose, notice, ground, kind, table string }

type activityCount struct {
	// retention is the longest time from collection to expiry; kept is the number of values
	// without an end.
	retention time.Duration
	kept      int64
}

// activity returns the count of an activity.
func (c *counter) activity(a activity) *activityCount {
	n := c.activities[a]
	if n == nil && len(c.activities) >= maxGroups {
		a.notice = Others
		n = c.activities[a]
	}
	if n == nil {
		n = new(activityCount)
		c.activities[a] = n
	}
	return n
}

// A Statement has the facts about a purpose that neither values nor source can tell.
type Statement struct {
	// Description is the aim of the processing.
	Description string `json:"description,omitempty"`
	// Categories are the categories of data subjects, Recipients the categories of recipients,
	// Transfers the third countries with their safeguards, and Measures the technical and
	// organisational measures.
	Categories []string `json:"categories,omitempty"`
	Recipients []string `json:"recipients,omitempty"`
	Transfers  []string `json:"transfers,omitempty"`
	Measures   []string `json:"measures,omitempty"`
}

// A Controller is who is responsible for the processing.
type Controller struct {
	Name    string `json:"name,omitempty"`
	Contact string `json:"contact,omitempty"`
	Officer string `json:"officer,omitempty"` // the data protection officer
}

// An Activity is the processing for one purpose.
type Activity struct {
	Purpose string `json:"purpose"`
	Statement
	// Kinds, Notices, Grounds and Tables are those of the values that are kept now.
	Kinds   []string `json:"kinds"`
	Notices []string `json:"notices"`
	Grounds []string `json:"grounds"`
	Tables  []string `json:"tables"`
	Count
	// RetentionDays is the longest retention of a value, and Unlimited the number of values
	// without an end of retention.
	RetentionDays int64 `json:"retentionDays"`
	Unlimited     int64 `json:"unlimited"`
	// Places are the places in the source that work with the values, by the operation,
	// as the register of piivet has them.
	Places []Place `json:"places"`
	// Hosts are the recipients that the source names: the hosts that rules of package egress
	// send values to.
	Hosts []Host `json:"hosts"`
}

// A Host is a recipient that the source names.
type Host struct {
	// Name is the host, "" if it is not constant in the source.
	Name string `json:"name"`
	// Fields are the fields of its requests that get a value.
	Fields []Field `json:"fields"`
	// Place is the place in the source that has the rule, and At its file and line.
	Place string `json:"place"`
	At    string `json:"at"`
}

// String returns the host and the fields, such as "api.sms.example (phone in form field To)".
func (h Host) String() string {
	text := cmp.Or(h.Name, "a host that is not constant in the source, at "+h.At)
	var fields []string
	for _, f := range h.Fields {
		fields = append(fields, f.Kind+" in "+f.Place)
	}
	if len(fields) == 0 {
		return text
	}
	return text + " (" + strings.Join(fields, ", ") + ")"
}

// A Field is a field of a request that gets a value of a kind.
type Field struct {
	Kind  string `json:"kind"`
	Place string `json:"place"`
}

// A Place is a place in the source.
type Place struct {
	Operation string `json:"operation"`
	Name      string `json:"name"`
	Doc       string `json:"doc,omitempty"`
}

// A RopaReport is a record of processing activities, as Article 30 GDPR asks for: all that the
// values, the source and people state. It has no value and no id of a person.
type RopaReport struct {
	Controller Controller `json:"controller"`
	At         time.Time  `json:"at"`
	Activities []Activity `json:"activities"`
	// Unknown is the number of places in the source whose purpose can't be told.
	Unknown int `json:"unknown"`
	// Missing lists the facts that the record still lacks, for each activity by name.
	Missing []string `json:"missing"`
}

// ErrRegister reports a register that is not one of piivet.
var ErrRegister = errors.New("not a register of piivet")

// maxRegister bounds the size of a register, in bytes.
const maxRegister = 64 << 20

// register has the parts of piivet's register that the record needs. Other parts may come
// and go.
type register struct {
	Purposes []struct {
		Name     string `json:"name"`
		Declared []struct {
			Doc string `json:"doc"`
		} `json:"declared"`
		Uses []struct {
			Op    string `json:"op"`
			Place string `json:"place"`
			Doc   string `json:"doc"`
			// Host, Fields and At are of the operation "send".
			Host   string   `json:"host"`
			Fields []Field  `json:"fields"`
			At     []string `json:"at"`
		} `json:"uses"`
	} `json:"purposes"`
	Unknown []json.RawMessage `json:"unknown"`
}

// Ropa makes the record of processing activities. It has an activity for each purpose that
// values of affected were collected for, that the source uses or that a statement is about.
//
// The reader has the register that piivet writes with -report -json. It may be nil: then the
// record says that places are missing. A register that is malformed or larger than 64 MB is
// [ErrRegister]. Statements are by the name of the purpose.
func Ropa(affected *AffectedReport, source io.Reader, controller Controller, statements map[string]Statement) (*RopaReport, error) {
	r := &RopaReport{Controller: controller, At: affected.At}
	all := map[string]*Activity{}
	of := func(name string) *Activity {
		if all[name] == nil {
			all[name] = &Activity{Purpose: name}
		}
		return all[name]
	}
	for a, n := range affected.activities {
		of(a.purpose).add(&a, n)
	}
	for _, g := range affected.Purposes {
		of(g.Name).Count = g.Count
	}
	for name, s := range statements {
		of(name).Statement = s
	}
	if source != nil {
		read, err := readRegister(source)
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		r.Unknown = len(read.Unknown)
		for _, p := range read.Purposes {
			a := of(p.Name)
			for _, d := range p.Declared {
				a.Description = cmp.Or(a.Description, d.Doc)
			}
			for _, u := range p.Uses {
				a.Places = append(a.Places, Place{u.Op, u.Place, u.Doc})
				if u.Op == "send" {
					a.Hosts = append(a.Hosts, Host{u.Host, u.Fields, u.Place, strings.Join(u.At, ", ")})
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		a.sort()
		r.Activities = append(r.Activities, *a)
		r.Missing = append(r.Missing, a.missing(source != nil)...)
	}
	if controller.Name == "" || controller.Contact == "" {
		r.Missing = append(r.Missing, "the controller's name and contact")
	}
	return r, nil
}

func readRegister(source io.Reader) (*register, error) {
	data, err := io.ReadAll(io.LimitReader(source, maxRegister+1))
	if err != nil || len(data) > maxRegister {
		return nil, ErrRegister
	}
	var r register
	if err := json.Unmarshal(data, &r); err != nil || r.Purposes == nil {
		return nil, ErrRegister
	}
	return &r, nil
}

// add takes in the counts of values.
func (a *Activity) add(of *activity, n *activityCount) {
	note := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	note(&a.Kinds, of.kind)
	note(&a.Notices, of.notice)
	note(&a.Grounds, of.ground)
	note(&a.Tables, of.table)
	const day = 24 * time.Hour
	a.RetentionDays = max(a.RetentionDays, int64((n.retention+day-1)/day))
	a.Unlimited += n.kept
}

func (a *Activity) sort() {
	for _, list := range []*[]string{&a.Kinds, &a.Notices, &a.Grounds, &a.Tables} {
		slices.Sort(*list)
		if *list == nil {
			*list = []string{}
		}
	}
	if a.Places == nil {
		a.Places = []Place{}
	}
	slices.SortStableFunc(a.Hosts, func(x, y Host) int { return strings.Compare(x.Name, y.Name) })
	if a.Hosts == nil {
		a.Hosts = []Host{}
	}
	for i := range a.Hosts {
		if a.Hosts[i].Fields == nil {
			a.Hosts[i].Fields = []Field{}
		}
	}
}

// AllRecipients returns the recipients that people stated, and those that the source names.
// A host is listed once.
func (a *Activity) AllRecipients() []string {
	all := slices.Clone(a.Recipients)
	for _, h := range a.Hosts {
		if text := h.String(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// missing returns what the record lacks about a.
func (a *Activity) missing(source bool) (all []string) {
	lacks := func(ok bool, what string) {
		if !ok {
			all = append(all, a.Purpose+": "+what)
		}
	}
	lacks(a.Description != "", "a description")
	lacks(len(a.Grounds) > 0 || a.Values == 0, "a legal ground")
	lacks(len(a.Categories) > 0, "the categories of people")
	lacks(len(a.Recipients)+len(a.Hosts) > 0, "the recipients")
	for _, h := range a.Hosts {
		lacks(h.Name != "", "the name of the recipient of "+h.Place+", which is not constant in the source, at "+h.At)
	}
	lacks(len(a.Transfers) > 0, `the transfers to third countries, or "none"`)
	lacks(len(a.Measures) > 0, "the measures")
	lacks(a.Unlimited == 0, fmt.Sprintf("an end of retention of %d values", a.Unlimited))
	lacks(source, "the places in the source: no register was given")
	return all
}

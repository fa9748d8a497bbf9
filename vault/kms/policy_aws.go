package kms

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/onlyfor/onlyfor/vault"
)

// AWSPolicy returns the IAM policy that lets a role use exactly its purposes: a
// statement for each, with the encryption context that the vault sends, of any vault. It is
// identity-based: attach it to the IAM role of the service. The policies of the keys
// have to leave the decision to IAM, as the policies do that the command line and the
// console make.
//
// IAM ignores aliases as resources. The statement for a key that is named by its
// alias therefore allows any key of the account and region, on condition that the
// request names this alias. Everybody who may change aliases (kms:CreateAlias,
// kms:UpdateAlias) then decides which key the role uses. Key ids are the firmer
// choice.
//
// A malformed role or key is [vault.ErrInvalid]. So is a policy larger than IAM
// accepts (6144 characters, some 20 purposes): divide the role. A purpose without
// a key is [vault.ErrNoKeys].
func AWSPolicy(keys Keys, r Role) (string, error) {
	grants, err := r.grants(keys, AWS)
	if err != nil {
		return "", err
	}
	policy := awsPolicy{Version: "2012-10-17"}
	for _, g := range grants {
		s := awsStatement{Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: g.key.name}
		if g.manages {
			s.Action = append(s.Action, "kms:Encrypt")
		}
		s.Condition.StringLike = map[string]string{"kms:EncryptionContext:" + encryptionContext: boundHex(g.purpose) + "*"}
		if scope, alias, ok := strings.Cut(g.key.name, ":alias/"); ok {
			s.Resource = scope + ":key/*"
			s.Condition.StringEquals = map[string]string{"kms:RequestAlias": "alias/" + alias}
		}
		policy.Statement = append(policy.Statement, s)
	}
	compact, err := json.Marshal(policy)
	if err == nil && len(compact) > maxAWSPolicy {
		return "", fmt.Errorf("kms: role %s has more purposes than one IAM policy takes: %w", r.Name, vault.ErrInvalid)
	}
	return indent(policy, err)
}

// maxAWSPolicy is the size of a managed policy. IAM does not count its white space.
const maxAWSPolicy = 6144

type awsPolicy struct {
	Version   string
	Statement []awsStatement
}

type awsStatement struct {
	Effect    string
	Action    []string
	Resource  string
	Condition struct {
		StringEquals map[string]string `json:",omitempty"`
		StringLike   map[string]string
	}
}

// indent returns v as indented JSON, with a newline at the end.
func indent(v any, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("kms: writing policy: %w", vault.ErrInvalid)
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("kms: writing policy: %w", vault.ErrInvalid)
	}
	return string(text) + "\n", nil
}

package kms_test

import (
	"fmt"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/kms"
)

// The purposes of the examples. A company has one such list.
var (
	security    = purpose.MustParse("security")
	advertising = purpose.MustParse("advertising")
	billing     = purpose.MustParse("billing")
)

func ExampleTemplate() {
	keys := kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
	key, err := keys.Key(security)
	fmt.Println(key, err)
	fmt.Println(key.Location())
	// Output:
	// aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-security <nil>
	// eu-central-1
}

func ExampleURIs() {
	keys := kms.URIs{
		security:    "hcvault://vault.example.com:8200/transit/keys/security",
		advertising: "hcvault://vault.example.com:8200/ads/keys/advertising",
	}
	key, err := keys.Key(advertising)
	fmt.Println(key, err)
	_, err = keys.Key(billing)
	fmt.Println(err)
	// Output:
	// hcvault://vault.example.com:8200/ads/keys/advertising <nil>
	// kms: no URI for billing: no usable keys
}

func ExampleCheck() {
	// An administrator who pastes the same line twice opens both purposes to both.
	keys := kms.URIs{
		security:    "gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/kek",
		advertising: "gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/kek",
	}
	fmt.Println(kms.Check(keys, kms.GCP))
	// Output: kms: advertising and security have one key, so who may use one may use both: invalid argument
}

func ExampleAWSPolicy() {
	keys := kms.Template("aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/onlyfor-{purpose}")
	text, err := kms.AWSPolicy(keys, kms.Role{
		Name:  "ad-service",
		Opens: purpose.NewSet(advertising),
	})
	fmt.Print(text, err)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Effect": "Allow",
	//       "Action": [
	//         "kms:Decrypt"
	//       ],
	//       "Resource": "arn:aws:kms:eu-central-1:111122223333:key/*",
	//       "Condition": {
	//         "StringEquals": {
	//           "kms:RequestAlias": "alias/onlyfor-advertising"
	//         },
	//         "StringLike": {
	//           "kms:EncryptionContext:associatedData": "6f6e6c79666f7220707572706f73652d6b657973206164766572746973696e6720*"
	//         }
	//       }
	//     }
	//   ]
	// }
	// <nil>
}

func ExampleGCPCommands() {
	keys := kms.Template("gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}")
	text, err := kms.GCPCommands(keys, kms.Role{
		Name:   "ad-service",
		Opens:  purpose.NewSet(advertising),
		Member: "serviceAccount:ad-service@example.iam.gserviceaccount.com",
	})
	fmt.Print(text, err)
	// Output:
	// # ad-service
	// gcloud kms keys add-iam-policy-binding 'advertising' --keyring 'onlyfor' --location 'europe-west3' --project 'example' --member 'serviceAccount:ad-service@example.iam.gserviceaccount.com' --role 'roles/cloudkms.cryptoKeyDecrypter'
	// <nil>
}

func ExampleGCPPolicy() {
	keys := kms.Template("gcp-kms://projects/example/locations/europe-west3/keyRings/onlyfor/cryptoKeys/{purpose}")
	text, err := kms.GCPPolicy(keys, advertising,
		kms.Role{
			Name:   "ad-service",
			Opens:  purpose.NewSet(advertising),
			Member: "serviceAccount:ad-service@example.iam.gserviceaccount.com",
		},
		kms.Role{
			Name:    "key-rotation",
			Manages: purpose.NewSet(advertising, security),
			Member:  "serviceAccount:key-rotation@example.iam.gserviceaccount.com",
		},
	)
	fmt.Print(text, err)
	// Output:
	// {
	//   "version": 1,
	//   "bindings": [
	//     {
	//       "role": "roles/cloudkms.cryptoKeyDecrypter",
	//       "members": [
	//         "serviceAccount:ad-service@example.iam.gserviceaccount.com"
	//       ]
	//     },
	//     {
	//       "role": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
	//       "members": [
	//         "serviceAccount:key-rotation@example.iam.gserviceaccount.com"
	//       ]
	//     }
	//   ]
	// }
	// <nil>
}

func ExampleHCVaultPolicy() {
	keys := kms.Template("hcvault://vault.example.com:8200/transit/keys/onlyfor-{purpose}")
	text, err := kms.HCVaultPolicy(keys, kms.Role{
		Name:    "security-service",
		Opens:   purpose.NewSet(billing),
		Manages: purpose.NewSet(security),
	})
	fmt.Print(text, err)
	// Output:
	// # security-service
	//
	// path "transit/decrypt/onlyfor-billing" {
	//   capabilities = ["update"]
	// }
	//
	// path "transit/decrypt/onlyfor-security" {
	//   capabilities = ["update"]
	// }
	//
	// path "transit/encrypt/onlyfor-security" {
	//   capabilities = ["update"]
	// }
	// <nil>
}

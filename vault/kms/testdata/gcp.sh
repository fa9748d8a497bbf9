# security-service
gcloud kms keys add-iam-policy-binding 'billing' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'serviceAccount:security@example.iam.gserviceaccount.com' --role 'roles/cloudkms.cryptoKeyDecrypter'
gcloud kms keys add-iam-policy-binding 'security' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'serviceAccount:security@example.iam.gserviceaccount.com' --role 'roles/cloudkms.cryptoKeyDecrypter'
# ad-service
gcloud kms keys add-iam-policy-binding 'advertising' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'serviceAccount:example.svc.id.goog[ads/ad-service]' --role 'roles/cloudkms.cryptoKeyDecrypter'
# billing-service
gcloud kms keys add-iam-policy-binding 'billing' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s' --role 'roles/cloudkms.cryptoKeyEncrypterDecrypter'
gcloud kms keys add-iam-policy-binding 'security' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s' --role 'roles/cloudkms.cryptoKeyDecrypter'
# key-rotation
gcloud kms keys add-iam-policy-binding 'advertising' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'group:key-rotation@example.com' --role 'roles/cloudkms.cryptoKeyEncrypterDecrypter'
gcloud kms keys add-iam-policy-binding 'billing' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'group:key-rotation@example.com' --role 'roles/cloudkms.cryptoKeyEncrypterDecrypter'
gcloud kms keys add-iam-policy-binding 'security' --keyring 'onlyfor' --location 'europe-west3' --project 'example.com:onlyfor' --member 'group:key-rotation@example.com' --role 'roles/cloudkms.cryptoKeyEncrypterDecrypter'

// Whose CRDs are read: pinned, and go.sum holds their digests.
module rejoinder.dev/tests/foreign

go 1.24

require (
	github.com/argoproj/argo-rollouts v1.8.3
	github.com/fluxcd/flagger v1.41.0
	github.com/kubeflow/trainer/v2 v2.1.0
	sigs.k8s.io/gateway-api v1.3.0
	sigs.k8s.io/gateway-api-inference-extension v1.0.0
	sigs.k8s.io/jobset v0.10.1
)

package controlplane

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Client limits that keep fast tests from waiting for client-go.
const (
	clientQPS   = 500
	clientBurst = 1000
)

// ServiceAccountConfig returns a client configuration, and the path of a
// kubeconfig file, that authenticate as a ServiceAccount with a token that is
// valid for a day. The ServiceAccount has to exist.
func (c *ControlPlane) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, string, error) {
	path := filepath.Join(c.dir, fmt.Sprintf("%s.%s.kubeconfig", namespace, name))
	if err := ServiceAccountKubeconfig(ctx, c.Kubeconfig(), namespace, name, path); err != nil {
		return nil, "", err
	}
	config, err := loadKubeconfig(path)
	return config, path, err
}

// ServiceAccountKubeconfig writes a kubeconfig file like that of
// [ControlPlane.ServiceAccountConfig], for the cluster of an admin's one.
func ServiceAccountKubeconfig(ctx context.Context, adminKubeconfig, namespace, name, path string) error {
	config, err := loadKubeconfig(adminKubeconfig)
	if err != nil {
		return err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	day := int64((24 * time.Hour).Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	token, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	user := &clientcmdapi.AuthInfo{Token: token.Status.Token}
	return writeKubeconfig(path, config.Host, config.CAData, namespace, name, user)
}

// writeKubeconfig writes a file that needs no other files, so that it can be
// copied to where somebody needs it.
func writeKubeconfig(path, server string, ca []byte, namespace, name string, user *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["networkstack"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = user
	config.Contexts["networkstack"] = &clientcmdapi.Context{Cluster: "networkstack", AuthInfo: name, Namespace: namespace}
	config.CurrentContext = "networkstack"
	return clientcmd.WriteToFile(*config, path)
}

func loadKubeconfig(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = clientQPS, clientBurst
	return config, nil
}

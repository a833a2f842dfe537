"""What Alsobought is made of: licences of dependencies, known vulnerabilities, the bill of materials, digests of images."""
